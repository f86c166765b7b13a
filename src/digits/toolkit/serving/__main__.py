"""Serve the package in the current folder: `python -m digits.toolkit.serving`."""

import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        del sys.path[0]  # the package's folder, where no file is code
    from digits.toolkit.serving.command import main

    main()
