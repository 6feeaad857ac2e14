"""What stages convert is known to msgspec before any thread converts it: two first uses at once crash a process."""

import subprocess
import sys

_SCRIPT = """
import sys, msgspec
from windvane.streams import worker
from windvane.streams.events import BookOpened, Control, LearnerUpdate

looked_up = []

def profile(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "get_class_annotations":
        looked_up.append(kind.__name__)

for kind in (BookOpened, Control, LearnerUpdate):
    sys.setprofile(profile)
    try:
        msgspec.convert({}, kind)
    except msgspec.ValidationError:
        pass
    sys.setprofile(None)
print("looked up late:", *looked_up)
"""


def test_no_type_of_event_is_looked_up_by_the_first_partition_that_loads_a_state() -> None:
    ran = subprocess.run([sys.executable, "-c", _SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout == "looked up late:\n"
