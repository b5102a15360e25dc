"""The zip archive that a file of PyTorch is: its members are as large as they say, and together as the file."""

import io
import os
import reprlib
import zipfile

from .kinds import archive_kind


class Archive:
    """A zip archive whose members are not compressed, and together have no more bytes than the file."""

    def __init__(self, file: io.BufferedReader) -> None:
        size = os.fstat(file.fileno()).st_size
        try:
            self._zip = zipfile.ZipFile(file)
        except Exception as error:  # zipfile may raise anything if the bytes are damaged
            raise ValueError(f"it is no zip archive: {error}") from None
        members = self._zip.infolist()
        self._members = {member.filename: member for member in members}
        if len(self._members) < len(members):
            raise ValueError("it has two members of the same name")
        if what := archive_kind(self._members):
            raise ValueError(f"it is {what}")
        if any(
            member.compress_type != zipfile.ZIP_STORED or member.compress_size != member.file_size for member in members
        ):
            raise ValueError("it has compressed members, but torch.save compresses none")
        # Members that overlap would unpack to more bytes than the file has.
        if sum(member.file_size for member in members) > size:
            raise ValueError(f"its members have more bytes than the file, which has {size}")
        folders = [name.removesuffix("data.pkl") for name in self._members if name.endswith("/data.pkl")]
        if len(folders) != 1:
            raise ValueError(f"it has {len(folders)} members FOLDER/data.pkl, but must have one")
        self._folder = folders[0]

    def has(self, name: str) -> bool:
        return self._folder + name in self._members

    def member(self, name: str, most: int) -> bytes:
        """The content of a member; ValueError if it has more than ``most`` bytes or its checksum is wrong."""
        if not self.has(name):
            raise ValueError(f"it has no member {short(name)}")
        member = self._members[self._folder + name]
        if member.file_size > most:
            raise ValueError(
                f"its member {short(name)} has {member.file_size} bytes, but must have at most {reprlib.repr(most)}"
            )
        try:
            return self._zip.read(member)
        except Exception as error:  # as in __init__
            raise ValueError(f"its member {short(name)} cannot be read: {error}") from None


def short(name: str) -> str:
    """A name of a file for an error."""
    return repr(name[:80])
