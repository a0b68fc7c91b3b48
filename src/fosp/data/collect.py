"""Collecting a dataset with scripted behaviours, in several processes and always with the same result.

Episode number i is played with environment seed ``seed + i`` by behaviour ``behaviours[i % len(behaviours)]``, and
episodes are written in order: the dataset does not depend on how many processes played them, nor on interruptions.

SafeReach's teleoperator is asked for episodes of a class, such as "safe-success". Each class goes through all layouts
in an order of its own, so its seeds are drawn until they give the layout that is due, and an episode that turns out to
be of another class is played again with the next such seed.
"""

from __future__ import annotations

import itertools
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from fosp.data import storage
from fosp.data.dataset import Dataset, DatasetWriter
from fosp.data.episode import Episode
from fosp.data.mixing import interleave
from fosp.data.reader import EpisodeSummary, summary_of
from fosp.envs import make_env
from fosp.envs.behaviours import Behaviour, make_behaviour
from fosp.envs.reach.operator import PROPORTIONS, balanced_seeds, outcome
from fosp.errors import InputError

_ATTEMPTS = 50  # at an episode of a wanted class; the rarest succeeds in half of them
_AHEAD = 2  # episodes that each process may be ahead of the one to be written next


@dataclass(frozen=True)
class CollectTask:
    """What every process must know to play any episode; it travels to them by pickling.

    Attributes:
        env_id: an id that ``fosp.make_env`` takes.
        behaviours: the names of the scripted behaviours, in turn.
        seed: the first episode's.
        observation: "image", "vector" or "both".
        action_repeat: frames per step, None for the environment's own default.
        env_arguments: further arguments of ``fosp.make_env``.
    """

    env_id: str
    behaviours: tuple[str, ...]
    seed: int
    observation: str
    action_repeat: int | None
    env_arguments: dict[str, Any] = field(default_factory=dict)

    def make_env(self) -> gymnasium.Env:
        """The environment."""
        return make_env(
            self.env_id, observation=self.observation, action_repeat=self.action_repeat, **self.env_arguments
        )

    def play(self, env: gymnasium.Env, number: int, stop: Callable[[], bool] = lambda: False) -> Episode:
        """Episode ``number``; raises KeyboardInterrupt as soon as ``stop()``."""
        name = self.behaviours[number % len(self.behaviours)]
        for seed in self._seeds(env, name, number):
            # A stream of its own: the behaviour's noise must not repeat the numbers that drew the layout.
            behaviour_seed = int(np.random.SeedSequence([seed, 1]).generate_state(1)[0])
            episode = play_episode(env, make_behaviour(name, behaviour_seed), seed, stop)
            if name not in PROPORTIONS or name == outcome(episode.total_reward > 0, episode.total_cost > 0):
                return episode
        raise InputError(f"no {name!r} episode came about in {_ATTEMPTS} attempts: leave this behaviour out.")

    def _seeds(self, env: gymnasium.Env, name: str, number: int) -> Iterable[int]:
        """Reset seeds for episode ``number``, to be tried in this order."""
        if name not in PROPORTIONS:
            return [self.seed + number]
        rounds, turn = divmod(number, len(self.behaviours))
        rank = rounds * self.behaviours.count(name) + self.behaviours[:turn].count(name)
        return itertools.islice(balanced_seeds(env, name, self.seed, rank), _ATTEMPTS)


def collect(
    env_id: str,
    behaviours: Sequence[str],
    episodes: int,
    out: str | Path,
    *,
    seed: int = 0,
    workers: int = 1,
    observation: str = "both",
    action_repeat: int | None = None,
    env_arguments: Mapping[str, Any] | None = None,
    on_episode: Callable[[int, EpisodeSummary], None] = lambda done, summary: None,
) -> Dataset:
    """Plays scripted behaviours until the dataset at ``out`` has ``episodes`` episodes.

    Stopped at any moment (Ctrl-C raises KeyboardInterrupt here, as usual), the finished episodes remain, and the same
    call continues after them.

    Args:
        env_id: an id that ``fosp.make_env`` takes.
        behaviours: names in turn: ("safe", "unsafe", "random") mixes 1:1:1; ``interleave`` makes other mixtures, and
            "teleoperator" stands for its four classes in the proportions of the paper.
        episodes: how many the dataset is to have in the end, those already there included.
        out: the dataset's directory.
        seed: episode i is played with environment seed ``seed + i``.
        workers: processes; with more than one, the calling script must be importable (``if __name__ == "__main__"``).
        observation: "image", "vector" or "both".
        action_repeat: frames per step (default: the environment's own).
        env_arguments: further arguments of ``fosp.make_env``.
        on_episode: called with the episodes in the dataset and the new one's summary, after each is on disk.

    Raises:
        InputError: if an argument cannot be used, ``out`` holds a dataset collected otherwise, or a process died.
    """
    if episodes < 1 or workers < 1 or not behaviours or seed < 0:
        raise InputError(
            f"episodes={episodes}, workers={workers}, seed={seed}, behaviours={list(behaviours)}: give at least one "
            f"episode, worker and behaviour, and a seed of at least 0."
        )
    if list(behaviours) == ["teleoperator"]:
        behaviours = interleave(PROPORTIONS)
    task = CollectTask(env_id, tuple(behaviours), seed, observation, action_repeat, dict(env_arguments or {}))
    with closing(task.make_env()) as env:
        env.reset(seed=seed)
        for name in behaviours:
            make_behaviour(name, 0).reset(env)  # what cannot act here complains before anything is written
        metadata = {
            **env_metadata(env),
            "env_arguments": task.env_arguments,
            "collection": {"seed": seed, "behaviours": list(behaviours)},
        }
        with DatasetWriter(
            out,
            env_id=env_id,
            observation_space=env.observation_space,
            action_space=env.action_space,
            metadata=metadata,
        ) as writer:
            numbers = range(len(writer), episodes)
            real = getattr(env.unwrapped, "real_time", False)  # of a robot there is one only
            workers = min(1 if real else workers, len(numbers))
            played = _play_here(task, env, numbers) if workers <= 1 else _play_in_processes(task, numbers, workers)
            with closing(played):  # on Ctrl-C the processes end now, not when the garbage is collected
                for encoded, summary in played:
                    writer.add_encoded(encoded)
                    on_episode(len(writer), summary)
    return Dataset(out)


def env_metadata(env: gymnasium.Env) -> dict[str, Any]:
    """What a dataset notes of an environment made by ``fosp.make_env``."""
    facts = {"environment": env.get_wrapper_attr("facts")()} if env.has_wrapper_attr("facts") else {}
    return {"action_repeat": env.get_wrapper_attr("action_repeat"), **facts}


def play_episode(
    env: gymnasium.Env, behaviour: Behaviour, seed: int, stop: Callable[[], bool] = lambda: False
) -> Episode:
    """Plays one episode of a scripted behaviour from ``env.reset(seed=seed)``.

    Raises:
        KeyboardInterrupt: as soon as ``stop()`` is true.
    """
    observation, _ = env.reset(seed=seed)
    behaviour.reset(env)
    observations, actions, rewards = [observation], [], []
    infos: list[dict[str, Any]] = []
    terminated = truncated = False
    while not (terminated or truncated):
        if stop():
            raise KeyboardInterrupt
        action = behaviour.act(env)
        observation, reward, terminated, truncated, info = env.step(action)
        observations.append(observation)
        actions.append(action)
        rewards.append(reward)
        infos.append(info)
    kinds = sorted({key for info in infos for key in info if key.startswith("cost_")})
    return Episode(
        observations={key: np.stack([each[key] for each in observations]) for key in observations[0]},
        actions=np.stack(actions),
        rewards=np.array(rewards, np.float32),
        costs=np.array([info["cost"] for info in infos], np.float32),
        terminated=terminated,
        truncated=truncated,
        behaviour=behaviour.name,
        seed=seed,
        frames=sum(int(info["frames"]) for info in infos),
        cost_kinds={
            kind.removeprefix("cost_"): np.array([info.get(kind, 0.0) for info in infos], np.float32) for kind in kinds
        },
    )


def _play_here(
    task: CollectTask, env: gymnasium.Env, numbers: range
) -> Generator[tuple[bytes, EpisodeSummary], None, None]:
    for number in numbers:
        episode = task.play(env, number)
        yield storage.encode_episode(episode), summary_of(episode)


def _play_in_processes(
    task: CollectTask, numbers: range, workers: int
) -> Generator[tuple[bytes, EpisodeSummary], None, None]:
    """Yields the played episodes in order; processes that are ahead wait until theirs can be written."""
    context = multiprocessing.get_context("spawn")  # OpenGL does not survive a fork
    stop = context.Event()
    processes, idle = [], []
    for _ in range(workers):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=_work, args=(task, theirs, stop), daemon=True))
        processes[-1].start()
        theirs.close()  # so that reading from a process that died ends instead of waiting for ever
        idle.append(ours)
    playing: dict[Connection, int] = {}
    played: dict[int, tuple[bytes, EpisodeSummary]] = {}
    left = deque(numbers)
    try:
        for wanted in numbers:
            while wanted not in played:
                while idle and left and left[0] < wanted + _AHEAD * workers:
                    connection = idle.pop()
                    playing[connection] = left.popleft()
                    connection.send(playing[connection])
                for ready in wait(list(playing)):
                    assert isinstance(ready, Connection)
                    played[playing.pop(ready)] = _receive(ready)
                    idle.append(ready)
            yield played.pop(wanted)
    finally:
        stop.set()
        for connection in [*idle, *playing]:
            connection.close()
        for process in processes:
            process.join()


def _receive(connection: Connection) -> tuple[bytes, EpisodeSummary]:
    try:
        answer = connection.recv()
    except (EOFError, ConnectionError) as error:
        raise InputError(
            "a collecting process died (for lack of memory, or as it says above): the finished episodes are kept, "
            "run the same command again to continue, perhaps with fewer workers."
        ) from error
    if isinstance(answer, InputError):
        raise answer
    return answer


def _work(task: CollectTask, connection: Connection, stop: Event) -> None:
    """A process: plays the episodes whose numbers it is sent, until it is told to stop or its parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches every process; the parent alone decides
    try:
        env = task.make_env()
        with closing(env):
            while True:
                episode = task.play(env, connection.recv(), stop.is_set)
                connection.send((storage.encode_episode(episode), summary_of(episode)))
    except InputError as error:
        connection.send(error)
    except (EOFError, ConnectionError, KeyboardInterrupt):
        return
