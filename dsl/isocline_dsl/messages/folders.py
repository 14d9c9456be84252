"""E64x: the folders that training and compiling write into."""

from __future__ import annotations

from isocline_dsl.messages.message import Draft, message


@message("E640")
def folder_not_ours(folder: object, name: str) -> Draft:
    """The folder that is to be written holds a file that Isocline did not write.

    An artifact is a folder of its own: it is replaced whole, and what is in it is listed in its manifest. A folder
    with other files is left as it is, so that nothing of yours is overwritten or becomes part of an artifact.
    """
    return Draft(
        None,
        f"{folder} holds {name}, which is not part of an artifact or a run: nothing was written",
        "name a folder that is empty or not there yet, with `-o` (an artifact) or `--run` (a training)",
    )


@message("E641")
def folder_in_use(folder: object, holder: str) -> Draft:
    """Another process is writing into the same folder.

    Two trainings in one folder would mix their checkpoints, and two builds their files. The lock goes away with the
    process that holds it, also when that is killed.
    """
    by = f" by process {holder}" if holder else ""
    return Draft(None, f"{folder} is in use{by}", "wait for it to end, or name another folder with `--run` or `-o`")


@message("E642")
def folder_not_writable(path: object, reason: str) -> Draft:
    """The system did not let a file or a folder be written: no permission, a full disk, a folder that is a file.

    What was there before is still there: files are written beside their places and moved there when they are whole.
    """
    return Draft(None, f"cannot write {path}: {reason}", "make room or choose another folder, and start again")


@message("E643")
def written_folder_unreadable(folder: object, reason: str) -> Draft:
    """What was just written could not be loaded and run as its user would.

    Every build ends by loading its artifact from the disk and running it on the samples stored with it. The compiler,
    or the disk, is at fault.
    """
    return Draft(None, f"{folder} was written, and cannot be loaded: {reason}", "build it again into another folder")
