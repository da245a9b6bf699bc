"""Who does which batch: one worker alone, until it is provably dead or has been silent for long."""

import errno
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sipbench.cluster import clean, files, hand, lease, presence, share, supervisor
from sipbench.cluster.presence import Presence, Watch

SLEEPING = "tests.cluster.sleeping"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "leases" / "cell"


@pytest.fixture
def watch(tmp_path):
    return Watch(tmp_path)


def _silent(tmp_path, name, beats=1):
    """A worker of another machine, which is not seen to change."""
    Presence(name, place="elsewhere", beats=beats - 1, expiry=0.0).beat(tmp_path)


def test_a_supervisor_loads_nothing_heavy():
    code = (
        "import sys, sipbench.cluster.supervisor, sipbench.cluster.plan\nprint({'torch', 'pandas'} & set(sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"


def test_one_of_many_holds_it(tmp_path, folder):
    def ask(n):
        return [lease.claim(folder, f"{k:06d}-a", f"w{n}", Watch(tmp_path)) for k in range(20)]

    with ThreadPoolExecutor(8) as pool:
        held = [one for found in pool.map(ask, range(8)) for one in found if one]
    assert sorted(one.key for one in held) == [f"{k:06d}-a" for k in range(20)]
    held[0].release()
    assert lease.claim(folder, held[0].key, "late", Watch(tmp_path)) is not None


def test_what_a_dead_process_of_this_machine_held_is_free_at_once(tmp_path, folder, watch):
    code = "from sipbench.cluster.presence import Presence\nfrom pathlib import Path\nPresence('a').beat(Path('.'))"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert lease.claim(folder, "000000-a", "a", watch)
    taken = lease.claim(folder, "000000-a", "b", watch)
    assert taken is not None and taken.number == 1
    Presence("b").beat(tmp_path)
    assert lease.claim(folder, "000000-a", "c", watch) is None
    taken.release()
    assert files.listed(folder) == []


def test_silence_is_judged_by_the_clock_of_who_looks_on(tmp_path, folder, watch, monkeypatch):
    monkeypatch.setenv(presence.SHORTEST, "100")
    now = [1000.0]
    monkeypatch.setattr(presence.time, "monotonic", lambda: now[0])
    _silent(tmp_path, "far")
    os.utime(presence.file_of(tmp_path, "far"), (0, 0))  # a clock that is wrong by decades
    held = lease.claim(folder, "000000-a", "far", watch)
    assert held is not None
    assert lease.claim(folder, "000000-a", "b", watch) is None
    now[0] += 99
    _silent(tmp_path, "far", beats=2)
    assert lease.claim(folder, "000000-a", "b", watch) is None
    now[0] += 99
    assert lease.claim(folder, "000000-a", "b", watch) is None
    now[0] += 2
    taken = lease.claim(folder, "000000-a", "b", watch)
    assert taken is not None and taken.number == 1
    assert not held.held()
    held.release()  # who was taken over gives nothing back
    assert taken.held()


def test_what_the_dead_left_is_tidied(tmp_path, folder, watch):
    files.write(presence.file_of(tmp_path, "dead"), {"worker": "dead", "ended": True})
    assert lease.claim(folder, "000000-a", "dead", watch) and lease.claim(folder, "000001-a", "alive", watch)
    Presence("alive").beat(tmp_path)
    lease.tidy(tmp_path, "alive", watch)
    assert lease.holders(tmp_path) == {"cell": {"000001-a": "alive"}}
    assert files.listed(tmp_path / "workers") == ["alive.json"]


def test_two_that_take_over_at_once_are_one(tmp_path, folder):
    (presence.file_of(tmp_path, "dead")).parent.mkdir()
    files.write(presence.file_of(tmp_path, "dead"), {"worker": "dead", "ended": True})
    for k in range(20):
        assert lease.claim(folder, f"{k:06d}-a", "dead", Watch(tmp_path))

    def ask(n):
        return [lease.claim(folder, f"{k:06d}-a", f"w{n}", Watch(tmp_path)) for k in range(20)]

    with ThreadPoolExecutor(8) as pool:
        held = [one for found in pool.map(ask, range(8)) for one in found if one]
    assert len({one.key for one in held}) == len(held) and all(one.held() for one in held)


@pytest.mark.parametrize("number", [errno.EPERM, errno.EACCES, errno.EXDEV, errno.ENOSYS])
def test_a_file_system_without_links_has_leases_too(folder, watch, monkeypatch, number):
    """Whichever way it says so: else all would wait for a holder that there is not."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(lease.os, "link", refuse)
    assert lease.claim(folder, "000000-a", "a", watch)
    assert lease.claim(folder, "000000-a", "b", watch) is None


def test_a_batch_of_another_size_waits_for_whom_it_shares_an_image_with(tmp_path, folder, watch):
    Presence("big").beat(tmp_path)
    big = lease.claim(folder, "000000-a", "big", watch, range(4))
    assert lease.claim(folder, "000002-b", "small", watch, [2, 3]) is None
    assert lease.holder(folder, "000002-b", [2, 3]) == "big"
    assert lease.claim(folder, "000004-b", "small", watch, [4, 5])
    big.release()
    assert lease.claim(folder, "000002-b", "small", watch, [2, 3])
    files.write(presence.file_of(tmp_path, "small"), {"worker": "small", "ended": True})
    assert lease.claim(folder, "000000-c", "late", watch, range(8))


def test_of_batches_that_share_an_image_one_is_held(tmp_path, folder):
    """By many at once, of all sizes; a lease that tells of no images, or of odd ones, is of nobody's images."""
    files.write(folder / "000000-odd.0.lease", {"worker": "odd", "images": [["x"], None]})
    for n in range(8):
        Presence(f"w{n}").beat(tmp_path)
    batches = [range(i, i + size) for size in (1, 2, 3, 4, 6) for i in range(0, 12, size)]

    def ask(n):
        turn = [*batches[n * 3 :], *batches[: n * 3]]
        return [(lease.claim(folder, f"{b[0]:06d}-{len(b)}", f"w{n}", Watch(tmp_path), b), b) for b in turn]

    with ThreadPoolExecutor(8) as pool:
        held = [batch for found in pool.map(ask, range(8)) for one, batch in found if one]
    images = [image for batch in held for image in batch]
    assert images and len(images) == len(set(images))


def test_who_looked_before_a_batch_was_given_back_does_not_hold_it_beside_its_next_holder(tmp_path, folder):
    """One sees the dead one's second lease; meanwhile another takes over and gives back, and a third begins."""
    files.write(presence.file_of(tmp_path, "dead"), {"worker": "dead", "ended": True})
    watch, held = Watch(tmp_path), []
    assert all(lease.claim(folder, "000000-a", "dead", watch) for _ in range(2))

    class Slow(Watch):
        def dead(self, worker):
            lease.claim(folder, "000000-a", "quick", watch).release()
            held.append(lease.claim(folder, "000000-a", "next", watch))
            return True

    assert lease.claim(folder, "000000-a", "slow", Slow(tmp_path)) is None
    assert held[0].held()


def test_who_gives_back_late_leaves_the_lease_of_who_took_over(tmp_path, folder, watch, monkeypatch):
    late = lease.claim(folder, "000000-a", "late", watch)
    files.write(presence.file_of(tmp_path, "late"), {"worker": "late", "ended": True})
    taken, held = [], lease.Lease.held

    def slowly(self):
        said = held(self)
        taken.append(lease.claim(folder, "000000-a", "new", watch))
        return said

    monkeypatch.setattr(lease.Lease, "held", slowly)
    late.release()
    monkeypatch.undo()
    assert taken[0].held()


def test_a_folder_that_vanishes_while_it_is_made_is_made_again(folder, watch, monkeypatch):
    """Another one gives back the last lease in it: it was there when it was made, and is not when it is looked at."""
    folder.mkdir(parents=True)
    make, vanished = os.mkdir, []

    def mkdir(path, *more):
        try:
            make(path, *more)
        except FileExistsError:
            if path == folder and len(vanished) < 1:
                vanished.append(folder.rmdir())
            raise

    monkeypatch.setattr(os, "mkdir", mkdir)
    assert lease.claim(folder, "000000-a", "a", watch).held() and vanished


def test_a_link_whose_answer_was_lost_is_held(folder, watch, monkeypatch):
    """NFS asks again, and hears that the file is there."""
    link = os.link

    def twice(*names):
        link(*names)
        link(*names)

    monkeypatch.setattr(lease.os, "link", twice)
    assert lease.claim(folder, "000000-a", "a", watch).held()


def test_foreign_files_beside_leases_are_none(folder, watch):
    assert lease.claim(folder, "000000-a", "a", watch)
    (folder / "000000-a.0 (conflicted copy).lease").touch()
    assert lease.claim(folder, "000000-a", "b", watch) is None


def test_a_process_that_may_not_be_seen_is_not_gone(monkeypatch):
    """Of another user, where /proc is mounted with hidepid."""
    said = {"worker": "a", "pid": 99, "started": 5, "place": presence.place()}
    monkeypatch.setattr(presence, "started", lambda pid: None)
    monkeypatch.setattr(presence.os, "kill", lambda *_: (_ for _ in ()).throw(PermissionError()))
    assert not presence.gone(said)
    monkeypatch.setattr(presence.os, "kill", lambda *_: (_ for _ in ()).throw(ProcessLookupError()))
    assert presence.gone(said)


def test_a_process_that_does_not_listen_yet_is_not_ended_by_the_signal_to_finish(tmp_path, monkeypatch):
    monkeypatch.setattr(hand, "PROCESS", SLEEPING)
    one = hand.Hand([], dict(os.environ), "w")
    one.start()
    one.signal(signal.SIGUSR2)  # on its way
    assert one.process.pid
    one.signal(signal.SIGUSR2)  # just there
    time.sleep(0.1)
    assert one.process.poll() is None
    one.signal(signal.SIGKILL)
    assert one.process.wait() == -signal.SIGKILL


def test_what_a_process_of_several_had_just_taken_is_given_back(tmp_path, folder, watch, monkeypatch):
    """It ended before it told of its batch: else all others would wait for that as long as the worker lives."""
    both = supervisor.Supervisor(tmp_path, [], [None, None], 1, 60.0, 60.0)
    ended, lives = both._hands
    monkeypatch.setattr(hand, "PROCESS", SLEEPING)
    for one, key in ((ended, "000000-a"), (lives, "000001-a")):
        one.start()
        with monkeypatch.context() as patch:
            patch.setattr(lease.os, "getpid", lambda pid=one.process.pid: pid)
            assert lease.claim(folder, key, both.presence.worker, watch)
    ended.signal(signal.SIGKILL)
    ended.process.wait()
    both._look(ended)
    assert lease.holders(tmp_path) == {"cell": {"000001-a": both.presence.worker}}
    for one in both._hands:
        one.signal(signal.SIGKILL)
        one.process.wait()


def test_a_workers_file_that_says_nonsense_is_of_nobody(tmp_path, folder, watch):
    for n, odd in enumerate(({"beats": "x"}, {"expiry": []}, {"doing": 5}, {"expiry": "x", "beats": 1})):
        files.write(presence.file_of(tmp_path, f"w{n}"), {"worker": f"w{n}", "place": presence.place(), **odd})
        assert lease.claim(folder, f"00000{n}-a", f"w{n}", watch)
        assert lease.claim(folder, f"00000{n}-a", "other", watch) is None
    assert presence.everybody(tmp_path) == [] and share.threads(tmp_path, 1, None) >= 1
    assert not list(clean.leftovers(tmp_path))


def test_a_workers_name_leads_to_no_file_of_another(tmp_path, watch):
    """Who tidies removes no file that is named in the file of a stranger."""
    mine, results = tmp_path / "mine.json", tmp_path / "results"
    mine.touch()
    files.write(results / "workers" / "evil.json", {"worker": "../../mine", "ended": True})
    files.write(results / "workers" / "odd.json", {"worker": "odd", "place": presence.place(), "pid": "many"})
    lease.tidy(results, "me", Watch(results))
    assert mine.exists() and not list(clean.leftovers(results))
