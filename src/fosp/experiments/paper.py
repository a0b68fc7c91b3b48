"""What the paper reports: reward and cost, means over five seeds, as printed.

Keys are shares of the online budget of 500,000 frames: 0 is the end of offline training, 1 the end of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Mapping

Reported = Mapping[float, tuple[float, float]]

ONLINE_FRAMES = 500_000
NAMES = {"fosp": "FOSP", "recovery_rl": "Recovery RL", "dreamer": "DreamerV3", "safe_dreamer": "SafeDreamer"}

TABLE1: dict[str, dict[str, Reported]] = {
    "SafetyPointGoal1-v0": {
        "fosp": {0: (18.7, 1.4), 1: (21.5, 0.2)},
        "recovery_rl": {0: (5.4, 1.8), 1: (12.6, 0.8)},
        "dreamer": {0: (17.4, 82.3), 1: (25.8, 85.1)},
        "safe_dreamer": {0: (12.7, 1.5), 1: (19.2, 0.02)},
    },
    "SafetyPointButton1-v0": {
        "fosp": {0: (14.7, 9.5), 1: (18.1, 2.1)},
        "recovery_rl": {0: (5.4, 10.3), 1: (6.3, 2.8)},
        "dreamer": {0: (15.1, 167.7), 1: (20.8, 157.9)},
        "safe_dreamer": {0: (8.9, 10.2), 1: (10.7, 4.5)},
    },
    "SafetyPointPush1-v0": {
        "fosp": {0: (4.0, 18.1), 1: (13.2, 0.1)},
        "recovery_rl": {0: (0.4, 24.8), 1: (3.8, 0.5)},
        "dreamer": {0: (2.3, 30.9), 1: (14.6, 26.3)},
        "safe_dreamer": {0: (1.3, 17.8), 1: (10.3, 0.12)},
    },
    "SafetyPointGoal2-v0": {
        "fosp": {0: (8.1, 7.5), 1: (13.5, 0.23)},
        "recovery_rl": {0: (0.5, 53.2), 1: (2.7, 0.3)},
        "dreamer": {0: (9.5, 367.1), 1: (18.9, 290.2)},
        "safe_dreamer": {0: (3.6, 8.6), 1: (12.7, 0.3)},
    },
    "SafetyCarGoal2-v0": {
        "fosp": {0: (10.1, 1.6), 1: (14.5, 0.07)},
        "recovery_rl": {0: (4.6, 0.6), 1: (8.9, 0.13)},
        "dreamer": {0: (16.7, 231.0), 1: (24.1, 287.9)},
        "safe_dreamer": {0: (6.9, 0.7), 1: (9.8, 0.09)},
    },
}

TABLE2: dict[str, dict[str, tuple[float, float]]] = {
    env: dict(zip(("SafeDreamer with planning", "CPO", "PPO-Lagrangian"), figures, strict=True))
    for env, figures in {
        "SafetyPointGoal1-v0": ((20.1, 0.6), (22.3, 45), (19.5, 29)),
        "SafetyPointButton1-v0": ((12.4, 5.5), (17.1, 76), (5.3, 25)),
        "SafetyPointPush1-v0": ((8.1, 0.7), (3.7, 35), (2.9, 26)),
        "SafetyPointGoal2-v0": ((13.0, 1.7), (13.8, 51), (1.8, 30)),
        "SafetyCarGoal2-v0": ((11.2, 0.34), (15.5, 52), (7.8, 28)),
    }.items()
}
"""Reward and cost of methods that were only trained online, from scratch."""

TABLE3: dict[str, Reported] = {
    "SafeReachUnseen1-v0": {0: (40, 50), 0.5: (45, 40), 1: (65, 20)},
    "SafeReachUnseen2-v0": {0: (30, 50), 0.5: (35, 45), 1: (60, 30)},
    "SafeReachUnseen3-v0": {0: (20, 60), 0.5: (40, 40), 1: (50, 20)},
}
"""Per cent of 20 tests with a success and with a violation: before, halfway through and after 40 trajectories."""

TABLE5_FINETUNED: dict[str, Reported] = {
    "SafetyPointGoal1-v0": {
        0: (18.723, 1.451), 0.04: (18.692, 3.4), 0.1: (19.581, 2.719), 0.2: (20.063, 0.328), 0.6: (19.649, 0.268),
        1: (21.517, 0.2),
    },
    "SafetyPointButton1-v0": {
        0: (14.65, 9.622), 0.04: (13.415, 8.639), 0.1: (13.569, 6.664), 0.2: (15.306, 4.866), 0.6: (17.861, 4.256),
        1: (18.102, 2.188),
    },
    "SafetyPointPush1-v0": {
        0: (4.092, 18.117), 0.04: (7.253, 1.232), 0.1: (7.916, 1.497), 0.2: (9.148, 1.089), 0.6: (10.373, 0.507),
        1: (13.281, 0.157),
    },
    "SafetyPointGoal2-v0": {
        0: (8.1, 7.556), 0.04: (10.31, 1.486), 0.1: (10.157, 0.427), 0.2: (12.446, 0.18), 0.6: (13.034, 0.214),
        1: (13.556, 0.234),
    },
    "SafetyCarGoal2-v0": {
        0: (10.146, 1.618), 0.04: (9.063, 1.063), 0.1: (9.816, 0.385), 0.2: (10.275, 0.394), 0.6: (12.378, 0.18),
        1: (14.512, 0.071),
    },
}  # fmt: skip

TABLE5_DIRECT: dict[str, Reported] = {
    "SafetyPointGoal1-v0": {1: (14.749, 2.66), 2: (18.586, 1.08)},
    "SafetyPointButton1-v0": {1: (10.57, 6.88), 2: (12.81, 2.76)},
    "SafetyPointPush1-v0": {1: (1.397, 2.49), 2: (4.181, 2.05)},
    "SafetyPointGoal2-v0": {1: (9.471, 4.779), 2: (10.717, 3.089)},
    "SafetyCarGoal2-v0": {1: (8.749, 2.12), 2: (10.144, 1.21)},
}
