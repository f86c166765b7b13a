"""The labels of people: pictures worth labelling, doubtful labels, and Label Studio's files."""
