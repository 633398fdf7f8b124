"""Keep what a lock needs: names, versions and hashes, one package a line.

torch and torchvision lose their hashes, and the CUDA packages that the default torch brings
are left to torch itself, so that the small CPU build can be installed from the same file.
"""

import re
import sys

for line in sys.stdin.read().replace("\\\n", " ").splitlines():
    pin = " ".join(line.split())
    if not pin or re.match(r"nvidia-|cuda-|triton", pin):
        continue
    print(pin.split(" --hash")[0] if re.match(r"torch(vision)?==", pin) else pin)
