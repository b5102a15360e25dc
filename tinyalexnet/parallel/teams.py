"""Two levels: processes in teams, each of which has all dense layers in columns for its own images."""

from __future__ import annotations

import math

from .link import Link
from .tree import spans


class Teams:
    """The processes in as many teams as divide both their number and that of the groups of images.

    The processes of a team have the columns of the dense layers together, and compute them for one group of images
    after the other. Those at the same place in each team have the same columns, whose gradients they add. So with one
    group there is one team, and as many groups as processes make each process a team of its own.
    """

    def __init__(self, link: Link, groups: int) -> None:
        self.link, self.groups = link, groups
        self.count = teams_of(link.size, groups)
        """The number of teams."""
        self.size = link.size // self.count
        """The processes of a team."""
        self.number, place = divmod(link.rank, self.size)
        """The number of this process's team, from 0."""
        self.members = slice(self.number * self.size, (self.number + 1) * self.size)
        """The numbers of the processes of this team."""
        self.own = link.split(self.number)
        """The processes of this team."""
        self.across = link.split(place)
        """The processes at this place in each team, in the order of the teams."""

    def of(self, count: int) -> slice:
        """Of so many things that the teams share, in order, those of this team."""
        return spans(count, self.count)[self.number]


def teams_of(processes: int, groups: int) -> int:
    """The number of teams of so many processes: a team has whole groups, and all have equally many processes."""
    return math.gcd(processes, groups)
