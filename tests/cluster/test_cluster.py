"""Beyond one machine: the workers send their parts, the notebook gets ids, and the key goes nowhere it may be seen."""

from __future__ import annotations

import asyncio
import builtins
import io
import os
import threading
import time

import boto3
import distributed
import pandas as pd
import pytest
from doubles import Server, answers, lists_all, silent, stored
from moto.server import ThreadedMotoServer
from shells import fresh_shell
from workbench import CANARY, becomes

import nbfiles
from nbfiles import FileId, _cluster, _worker
from nbfiles._errors import CredentialError, FileTooLargeError, InputError, SourceError, UploadError
from nbfiles._events import Done, Failed, Queued

from .conftest import kept, parts


def sent(api, ids, read=pd.read_csv):
    """Return the frames that are stored under `ids`."""
    return [read(io.BytesIO(api.stored_bytes(one))) for one in ids]


def test_every_partition_is_one_file(cluster, files, shared_api):
    """Each partition arrives once, in its order, under a name that says which it is and of which job."""
    table = files.upload_many(parts(4), progress=False)
    assert [[number] * 10 for number in range(4)] == [list(one["part"]) for one in sent(shared_api, table["id"])]
    job = table["filename"][0].split("-")[1]
    assert [f"data-{job}-{number:05d}-of-00004.csv" for number in range(4)] == list(table["filename"])
    assert (8, {"uploaded"}, {"text/plain"}) == (len(job), set(table["status"]), set(table["mime_type"]))
    assert becomes([], lambda: kept(cluster), 10)


def test_the_notebook_keeps_the_ledger(cluster, files):
    """What the workers sent counts as uploaded from here, with its digest."""
    table = files.upload_many(parts(2), progress=False)
    mine = files.list_files(mine=True)
    assert set(table["id"]) <= set(mine["id"])
    assert all(digest.startswith("blake3:") for digest in table["digest"])


def test_an_answer_that_is_lost_is_waited_for(cluster, files, monkeypatch):
    """A part whose worker dies when it was done, and before its answer was fetched, is waited for once more."""
    lost = []
    fetch = distributed.as_completed.next_batch

    def next_batch(self, block=True):
        done = fetch(self, block=block)
        if done and not lost:
            lost.append(done[0])
            done[0]._state.lose()
            threading.Timer(0.3, cluster.loop.add_callback, (done[0]._state.finish,)).start()
        return done

    monkeypatch.setattr(distributed.as_completed, "next_batch", next_batch)
    table = files.upload_many(parts(4), progress=False)
    assert (1, ["uploaded"] * 4) == (len(lost), list(table["status"]))


def test_a_name_is_kept(cluster, files, shared_api):
    """--name chooses stem and format; the parts add which they are, and no job."""
    table = files.upload_many(parts(2), name="sales.parquet", progress=False)
    assert ["sales-00000-of-00002.parquet", "sales-00001-of-00002.parquet"] == list(table["filename"])
    assert [10, 10] == [len(one) for one in sent(shared_api, table["id"], pd.read_parquet)]


def test_one(cluster, files, shared_api):
    """one=True makes one file of all partitions."""
    one = files.upload(parts(4), one=True, name="all.parquet", progress=False)
    (frame,) = sent(shared_api, [one], pd.read_parquet)
    assert ("all.parquet", 40) == (one.metadata.filename, len(frame))


def test_split(cluster, files, shared_api):
    """split= parts the frame anew: more files, the same rows."""
    table = files.upload_many(parts(2, rows=1000), split=8_000, progress=False)
    assert len(table) > 2
    assert [0] * 1000 + [1] * 1000 == list(pd.concat(sent(shared_api, table["id"]))["part"])


def test_an_index_is_written_where_it_says_something(cluster, files, shared_api):
    """An index with a name is a column of every part; Dask's own numbers are of none."""
    table = files.upload_many(parts(2).set_index("row", sorted=True), progress=False)
    assert [["row", "part"]] * 2 == [list(one) for one in sent(shared_api, table["id"])]


def test_without_a_cluster_it_runs_here(files, shared_api, cluster, monkeypatch):
    """Where no cluster is in use one is made within this process, for this upload."""
    monkeypatch.setattr("distributed.default_client", lambda: (_ for _ in ()).throw(ValueError))
    table = files.upload_many(parts(2), progress=False)
    assert [[0] * 10, [1] * 10] == [list(one["part"]) for one in sent(shared_api, table["id"])]


def test_a_line(cluster, shared_api, monkeypatch, tmp_path):
    """%upload binds a list for a Dask frame, one id with --one, and other sources of the line go as ever."""
    monkeypatch.setenv("ANTHROPIC_BASE_URL", shared_api.base_url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", shared_api.api_key)
    with fresh_shell(tmp_path) as shell:
        shell.names.update(ddf=parts(3), df=pd.DataFrame({"a": [1]}))
        table = shell.do("%upload df as small, ddf as ids, df as again --fresh")
        assert ["small", "ids[0]", "ids[1]", "ids[2]", "again"] == list(table["variable"])
        assert [[n] * 10 for n in range(3)] == [list(one["part"]) for one in sent(shared_api, shell.names["ids"])]
        assert [f"ddf.partitions[{n}]" for n in range(3)] == list(table["source"])[1:4]
        shell.do(f"%upload ddf as one_id --one --name all.csv --on {cluster.scheduler.address}")
        assert isinstance(shell.names["one_id"], FileId)
        planned = shell.run("%upload ddf as ids --dry-run").printed
        assert "3 files from the cluster's workers, such as ddf-" in planned


def test_the_async_twin(cluster, files, shared_api):
    """``upload_many_async`` sends the partitions while the loop goes on."""
    beats = []

    async def both():
        async def beat():
            while True:
                beats.append(1)
                await asyncio.sleep(0.01)

        beating = asyncio.create_task(beat())
        table = await files.upload_many_async(parts(2), progress=False)
        beating.cancel()
        return table

    assert 2 == len(asyncio.run(both()))
    assert len(beats) > 2


def test_progress(cluster, files):
    """The observer hears of each part twice: that it waits, and that it is done."""
    heard = []
    files.upload_many(parts(3), progress=heard.append)
    assert [0, 1, 2] == [event.transfer for event in heard if isinstance(event, Queued)]
    assert {0, 1, 2} == {event.transfer for event in heard if isinstance(event, Done)}


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_partition_that_cannot_be_computed(cluster, files):
    """The other partitions arrive, the error says which did not and why, and the table has a row for each."""

    def fail(part):
        if part["part"].iloc[0] == 1:
            raise ZeroDivisionError("no\nway")
        return part

    frame = parts(3)
    with pytest.raises(UploadError, match=r"partitions\[1\] could not be computed: ZeroDivisionError: no") as caught:
        files.upload_many(frame.map_partitions(fail, meta=frame._meta), progress=False)
    assert ["uploaded", "failed", "uploaded"] == list(caught.value.table["status"])
    assert becomes([], lambda: kept(cluster), 10)


def test_a_part_that_is_too_large(cluster, shared_api):
    """A part over the limit is refused by its worker before it is sent."""
    files = nbfiles.Files(
        base_url=shared_api.base_url, api_key=shared_api.api_key, config=nbfiles.NbFiles(max_file_size=10)
    )
    before = shared_api.stored_ids()
    with pytest.raises(FileTooLargeError, match=r"one file may have 10 at most\. Make smaller parts"):
        files.upload_many(parts(1), progress=False)
    assert before == shared_api.stored_ids()


@pytest.mark.parametrize(
    ("source", "options", "said"),
    [
        (pd.DataFrame({"a": [1]}), {"split": "1MB"}, "--split is for a Dask frame"),
        (pd.DataFrame({"a": [1]}), {"one": True}, "--one is for a Dask frame"),
        ("a.csv", {"on": "tcp://127.0.0.1:1"}, "--on is for a Dask frame or a URL"),
        ("https://example.org/a.csv", {"on": "tcp://127.0.0.1:1"}, "there is no scheduler at tcp://127.0.0.1:1"),
    ],
)
def test_what_is_not_for_a_cluster(files, source, options, said, monkeypatch):
    """What a cluster cannot do is said before anything is sent."""
    monkeypatch.setattr(_cluster, "_CONNECT", 1)
    with pytest.raises(InputError, match=said):
        files.upload_many(source, progress=False, **options)


def test_what_does_not_go_together(cluster, files):
    """Options that contradict each other or the form are refused, and so is a frame within a list."""
    for options, said in (
        ({"split": "1MB", "one": True}, "--split makes many files"),
        ({"max_rows": 1}, "--max-rows and --sample are for one table"),
    ):
        with pytest.raises(InputError, match=said):
            files.upload_many(parts(2), progress=False, **options)
    with pytest.raises(InputError, match="upload sends one file"):
        files.upload(parts(2), progress=False)
    with pytest.raises(SourceError, match="is a Dask frame among other sources"):
        files.upload_many([parts(2)], progress=False)
    with pytest.raises(InputError, match="is not in a store such as s3://"):
        files.upload_many("https://example.org/a.csv", on=cluster, progress=False)


def test_a_missing_package_is_one_line(files, monkeypatch):
    """Without distributed the error names the extra."""
    real = builtins.__import__

    def without(name, *rest):
        if name.partition(".")[0] == "distributed":
            raise ImportError(name)
        return real(name, *rest)

    frame = parts(1)
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(SourceError, match=r"pip install 'nbfiles\[cluster\]'"):
        files.upload_many(frame, progress=False)


# -- never twice -------------------------------------------------------------------------------------------------------


def test_a_part_that_was_begun_is_looked_for(cluster, files, shared_api, monkeypatch):
    """What a lost worker has stored is taken for its part; a second copy of it goes; the rest is sent."""
    from distributed import Event

    monkeypatch.setattr(_cluster, "_new_id", lambda: "0badcafe")
    frame = parts(2)
    first = frame.partitions[0].compute()
    names = [f"data-0badcafe-{number:05d}-of-00002.csv" for number in range(2)]
    lost = [files.upload(first, name=names[0], index=False, fresh=True, progress=False) for _ in range(2)]
    for number in range(2):
        Event(f"nbfiles-0badcafe-{number}", client=cluster).set()
    table = files.upload_many(frame, progress=False)
    assert (str(lost[0]), names) == (table["id"][0], list(table["filename"]))
    there = files.list_files(match="data-0badcafe-*")
    assert sorted(names) == sorted(there["filename"])


def test_ctrl_c_cancels_the_cluster(cluster, files, shared_api):
    """An interrupt cancels what waits and what is being sent, at once, and leaves nothing in the cluster."""
    with Server(silent, listing=lists_all) as server:
        slow = nbfiles.Files(base_url=server.url, api_key="a")
        began = []

        class Interrupting:
            def __call__(self, event):
                pass

            def tick(self):
                if server.uploads >= 2:
                    began.append(time.monotonic())
                    raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            slow.upload_many(parts(8), jobs=2, progress=Interrupting())
        assert time.monotonic() - began[0] < 5
        assert becomes([], lambda: kept(cluster), 10)
        assert becomes(True, lambda: all(wire.ended.is_set() for wire in server.wires), 10)
        uploads = server.uploads
        time.sleep(1)
        assert uploads == server.uploads


@pytest.mark.parametrize("jobs", [1, 3])
def test_the_workers_share_one_limit(cluster, jobs):
    """All workers together send as many files at the same time as were allowed, and not one more."""
    lock, now, most = threading.Lock(), [0], [0]

    def counted(exchange):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.1)
        with lock:
            now[0] -= 1
        stored(exchange)

    with Server(counted, listing=lists_all) as server:
        nbfiles.Files(base_url=server.url, api_key="a").upload_many(parts(8), jobs=jobs, progress=False)
        assert (8, jobs) == (server.uploads, most[0])
        assert 1 == server.looks  # for the time; a part that nobody has begun is not looked for


# -- the key -----------------------------------------------------------------------------------------------------------


def everything_in(client):
    """Return what a person could see of the cluster: its graph, its logs, what the dashboard shows."""

    def look(dask_scheduler):
        from distributed.protocol import pickle

        tasks = [(str(key), repr(task), pickle.dumps(task.run_spec)) for key, task in dask_scheduler.tasks.items()]
        return repr(tasks) + repr(dask_scheduler.identity()) + repr(dict(dask_scheduler.get_events()))

    return client.run_on_scheduler(look) + repr(client.get_scheduler_logs()) + repr(client.get_worker_logs())


def test_the_key_travels_apart(cluster):
    """Workers without a key get the notebook's; no graph, no log and no event of the cluster has it, then or later."""
    seen = []

    class Looking:
        def __call__(self, event):
            if isinstance(event, Done):
                seen.append(everything_in(cluster))

    with Server(stored, listing=lists_all) as server:
        nbfiles.Files(base_url=server.url, api_key=CANARY).upload_many(parts(3), progress=Looking())
        keys = {exchange.header("x-api-key") for exchange in server.exchanges if exchange.method == "POST"}
    seen.append(everything_in(cluster))
    assert {CANARY} == keys
    assert len(seen) > 1
    assert [] == [1 for text in seen if CANARY in text or CANARY[-12:] in text]
    assert becomes([], lambda: kept(cluster), 10)


@pytest.mark.parametrize("unsafe", ["tcp://10.0.0.1:8786", "ws://10.0.0.1:80", "ucx://10.0.0.1:1"])
def test_the_key_does_not_travel_in_the_clear(cluster, monkeypatch, unsafe):
    """Where others could listen nothing is sent, and the error names the variable to set on the workers."""
    monkeypatch.setattr(_cluster.Spread, "_addresses", lambda self: [cluster.scheduler.address, unsafe])
    monkeypatch.setattr(_worker.Carrier, "__reduce__", lambda self: pytest.fail("the key was written down"))
    with Server(stored, listing=lists_all) as server:
        with pytest.raises(CredentialError, match=r"have no ANTHROPIC_API_KEY.*Set ANTHROPIC_API_KEY in their environ"):
            nbfiles.Files(base_url=server.url, api_key=CANARY).upload_many(parts(1), progress=False)
        assert 0 == server.uploads


def test_a_stores_key_does_not_travel_in_the_clear(cluster, bucket, monkeypatch):
    """Where others could listen, storage_options are refused even if the workers have the Files API's key."""
    monkeypatch.setattr(_cluster.Spread, "_addresses", lambda self: ["tcp://10.0.0.1:8786"])
    monkeypatch.setattr(_cluster.Spread, "_keys", lambda self: {"a": self._session.find()[1].fingerprint})
    with Server(stored, listing=lists_all) as server:
        files = nbfiles.Files(base_url=server.url, api_key=CANARY)
        with pytest.raises(CredentialError, match="storage_options would travel") as caught:
            files.upload_many("s3://spread/d*/*.csv", on=cluster, storage_options=bucket, progress=False)
        assert (0, False) == (server.uploads, "SECRET" in str(caught.value))


@pytest.mark.parametrize(
    ("address", "safe"),
    [("tcp://127.0.0.1:1", True), ("inproc://10.0.0.1/5/1", True), ("tls://10.0.0.1:1", True), ("tcp://[::1]:1", True),
     ("tcp://10.0.0.1:1", False), ("tcp://127.0.0.1.example.org:1", False), ("ws://10.0.0.1:1", False)],
)  # fmt: skip
def test_which_addresses_are_safe(address, safe):
    """This machine, this process, and TLS; nothing else."""
    assert safe is _cluster._is_safe(address)


def test_workers_with_the_same_key_use_theirs(cluster, monkeypatch):
    """Where every worker has the notebook's key, none travels, whatever the way is."""

    def have(value):
        import os

        if value is None:
            os.environ.pop("ANTHROPIC_API_KEY", None)
        else:
            os.environ["ANTHROPIC_API_KEY"] = value

    monkeypatch.setattr(_cluster.Spread, "_addresses", lambda self: ["tcp://10.0.0.1:8786"])
    cluster.run(have, CANARY)
    try:
        with Server(stored, listing=lists_all) as server:
            nbfiles.Files(base_url=server.url, api_key=CANARY).upload_many(parts(2), progress=False)
            assert {CANARY} == {each.header("x-api-key") for each in server.exchanges if each.method == "POST"}
        cluster.run(have, None)
        with Server(answers(200), listing=lists_all) as server, pytest.raises(CredentialError):
            nbfiles.Files(base_url=server.url, api_key=CANARY).upload_many(parts(2), progress=False)
    finally:
        cluster.run(have, None)


# -- files of a store --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bucket():
    """A bucket of a real S3 with 40 objects; gives the options that reach it."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server._server.server_port}"
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1"
    )
    client.create_bucket(Bucket="spread")
    for number in range(40):
        client.put_object(Bucket="spread", Key=f"d{number % 2}/{number // 2:02d} [x].csv", Body=b"%d" % number)
    yield {"key": "SECRETID", "secret": "SECRETKEY", "endpoint_url": address}
    client.close()
    server.stop()


def test_a_glob_is_spread(cluster, files, shared_api, bucket):
    """The workers read and send the files of a glob; the store's key is in no graph; equal names are told apart."""
    seen = []

    class Looking:
        def __call__(self, event):
            if isinstance(event, Done | Failed) and not seen:
                seen.append(everything_in(cluster))

    table = files.upload_many("s3://spread/d*/*.csv", on=cluster, storage_options=bucket, progress=Looking())
    wanted = [b"%d" % number for number in [*range(0, 40, 2), *range(1, 40, 2)]]
    assert wanted == [shared_api.stored_bytes(one) for one in table["id"]]
    assert "s3://spread/d0/00 [x].csv" == table["source"][0]
    assert 40 == len(set(table["filename"]))
    assert "SECRETKEY" not in seen[0]
    assert os.getpid() != cluster.submit(os.getpid).result()
