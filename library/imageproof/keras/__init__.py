"""What a training with Keras needs beside its fit: batches, checkpoint, cost, export."""
