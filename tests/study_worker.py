"""A study to interrupt: ``python -m tests.study_worker DIRECTORY [deaf]``; a long job beside an idle worker."""

import sys
from pathlib import Path

from tests.study_works import Linger, Note

from tutelage.signals import Interrupted, raising
from tutelage.study import Job, Study, execute
from tutelage.study_status import StudyStatus


def main(directory: Path, *, deaf: bool) -> int:
    def watch(status: StudyStatus) -> None:
        if [job.state for job in status.jobs] == ["running", "done"] and (directory / "long" / "begun").exists():
            (directory / "idle").touch()

    study = Study(name="s", jobs=(Job("long", Linger(deaf)), Job("short", Note("1"))), workers=2)
    try:
        with raising():
            execute(study, directory, watch, ("tests",))
    except Interrupted as stop:
        return 128 + stop.number
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), deaf="deaf" in sys.argv[2:]))
