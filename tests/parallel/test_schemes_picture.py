"""docs/pictures/schemes.svg shows the passes of the code: their rows, who has them, and who computes which columns."""

from __future__ import annotations

import importlib
from xml.etree import ElementTree

import numpy as np

from tests.parallel.as_threads import on
from tests.test_pictures import SVG, arrays, drawn
from tinyalexnet import Dense, Flatten, Sequential
from tinyalexnet.parallel.columns import Columns
from tinyalexnet.parallel.hybrid import passes_of, rows_of

schemes = importlib.import_module("schemes")  # found since test_pictures was imported


def of_processes(text):
    """The process of each named array of the picture of the schemes: those of process 1 are hatched."""
    found = {}
    for group in ElementTree.fromstring(text).iter(f"{SVG}g"):
        if name := group.get("data-array"):
            kinds = [rect.get("class") for rect in group.iter(f"{SVG}rect")]
            hatched = kinds.count("hatched")
            assert hatched in (0, len(kinds) - hatched), name
            found[name] = int(hatched > 0)
    return found


def test_the_rows_of_each_pass_are_those_of_the_scheme():
    a, names = arrays("schemes"), set()
    sizes = schemes.BATCH, schemes.SHARDS, schemes.PROCESSES
    expected = {f"images {process}": rows for process, rows in enumerate(rows_of(*sizes))}
    for scheme in "abc":
        for number, of in enumerate(passes_of(*sizes, scheme)):
            expected |= {f"{scheme} pass {number} rows {process}": rows for process, rows in enumerate(of)}
    for name, rows in expected.items():
        if rows.size:
            names.add(name)
            assert a[name].ravel().tolist() == rows.tolist(), name
    assert names == {name for name in a if "columns" not in name}
    assert all(name.endswith(str(process)) for name, process in of_processes(drawn("schemes")).items())


def test_the_captions_of_the_schemes_say_what_their_passes_have():
    """In b the rows of a pass are those of a shard, from one process; in c equally many from each, of each shard."""
    sizes = batch, shards, _ = schemes.BATCH, schemes.SHARDS, schemes.PROCESSES
    shard, part = batch // shards, batch // shards // shards
    counts = {"a": [[shard, shard]], "b": [[shard, 0], [0, shard]], "c": [[part, part], [part, part]]}
    assert set(counts) == set(schemes.CAPTIONS)
    for scheme, caption in schemes.CAPTIONS.items():
        passes = passes_of(*sizes, scheme)
        assert [[len(rows) for rows in of] for of in passes] == counts[scheme]
        assert sorted(np.concatenate([rows for of in passes for rows in of])) == list(range(batch))
        assert f">{caption}<" in drawn("schemes")


def test_the_columns_of_each_process_are_those_of_its_blocks():
    def columns(link):
        net = Sequential([("flatten", Flatten()), ("fc", Dense(4, schemes.COLUMNS, rng=np.random.default_rng(0)))])
        (stage,) = Columns(net, schemes.PROCESSES, link).stages
        return [np.arange(schemes.COLUMNS)[stage.columns[number]] for number in stage.blocks]

    a = arrays("schemes")
    every = on(schemes.PROCESSES, columns)
    shown = {name: array for name, array in a.items() if "columns" in name}
    assert len(shown) == 5 * schemes.PROCESSES
    for name, array in shown.items():
        assert array.ravel().tolist() == np.concatenate(every[int(name[-1])]).tolist(), name
