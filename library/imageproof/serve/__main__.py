"""Serve the package in the current folder: `python -m imageproof.serve`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the package's folder, where no file is code
    from imageproof.serve._command import main

    main()
