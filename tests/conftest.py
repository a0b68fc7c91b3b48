"""What holds for every test: this folder's helper modules can be imported, and PyTorch uses one thread.

One thread because the workers of pytest-xdist are the parallelism, and because sums over several threads may differ in
their last bits.
"""

import pytest
import torch


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    torch.set_num_threads(1)
