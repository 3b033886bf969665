"""Lets a process go on as no child of the one that started it."""

import os
import sys

if sys.platform == "win32":

    def leave_starter() -> None:
        """Do nothing, because Windows knows only children."""

else:

    def leave_starter() -> None:
        """Go on in a new process, and end this one. Called before there are threads.

        The starter gets the new pid on standard output. From then on that is where standard error has been all along.
        """
        pid = os.fork()
        if pid != 0:
            os.write(1, str(pid).encode())
            os._exit(0)
        os.dup2(2, 1)
