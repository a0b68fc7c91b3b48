"""The world model of Eq. 1: encoder, RSSM, and heads for observation, reward, cost and continuation."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fosp import parallel
from fosp.config import WorldModelConfig
from fosp.models.distributions import categorical_kl, piecewise_linear, symexp, symlog
from fosp.models.layers import ImageDecoder, ImageEncoder, TwoHotHead, from_patches, mlp, to_patches
from fosp.models.rssm import RSSM, Latent

Batch = Mapping[str, Tensor]
Metrics = dict[str, Tensor]


def squared_norm(x: Tensor) -> Tensor:
    """Sum of squares of any tensor, (): one pass over memory forward and one backward, where `mse_loss` takes four."""
    x = x.flatten()
    constant = x.detach()
    return 2 * torch.dot(constant, x) - torch.dot(constant, constant)


class WorldModel(nn.Module):
    """Learns latent dynamics from sequences in model alignment (see `fosp.data.replay`).

    Args:
        config: sizes and loss weights.
        spaces: shape of each observation, "image" (64, 64, C) and/or "vector" (D,).
        actions: size of the action.
    """

    vector_mean: Tensor
    vector_scale: Tensor
    vector_low: Tensor
    bin_width: Tensor

    def __init__(self, config: WorldModelConfig, spaces: Mapping[str, tuple[int, ...]], actions: int) -> None:
        super().__init__()
        self.config = config
        embedding = 0
        self.image_encoder: ImageEncoder | None = None
        self.vector_encoder: nn.Module | None = None
        if "image" in spaces:
            self.image_encoder = ImageEncoder(spaces["image"][-1], config.cnn_depth, config.patch)
            embedding += self.image_encoder.outputs
        if "vector" in spaces:
            inputs = spaces["vector"][0] * (1 + config.vector_bins)
            self.vector_encoder = mlp(inputs, config.units, config.vector_layers, config.units)
            embedding += config.units
            self.register_buffer("vector_mean", torch.zeros(spaces["vector"]))
            self.register_buffer("vector_scale", torch.ones(spaces["vector"]))
            if config.vector_bins:
                self.register_buffer("vector_low", torch.full(spaces["vector"], -1.0))
                self.register_buffer("bin_width", torch.full(spaces["vector"], 2 / config.vector_bins))
        self.rssm = RSSM(config, embedding, actions)
        self.features = features = self.rssm.features
        self.image_decoder = (
            ImageDecoder(features, spaces["image"][-1], config.cnn_depth, config.patch) if "image" in spaces else None
        )
        self.vector_decoder = (
            mlp(features, config.units, config.vector_layers, spaces["vector"][0]) if "vector" in spaces else None
        )
        self.reward_head = TwoHotHead(features, config.units, config.head_layers)
        self.cost_head = TwoHotHead(features, config.units, config.head_layers)
        self.continue_head = mlp(features, config.units, config.head_layers, 1)

    def targets(self, observation: Batch) -> dict[str, Tensor]:
        """What encoder and decoder work on: "image" as patches in [0, 1], "vector" as `normalise` gives it."""
        targets = {}
        if self.image_encoder is not None:
            targets["image"] = to_patches(observation["image"], self.config.patch) * (1 / 255)
        if self.vector_encoder is not None:
            targets["vector"] = self.normalise(observation["vector"])
        return targets

    def encode(self, targets: Batch) -> Tensor:
        """`targets` with any leading dimensions -> embeddings (..., E)."""
        parts = []
        if self.image_encoder is not None:
            image = targets["image"]
            parts.append(self.image_encoder(image.flatten(0, -4)).unflatten(0, image.shape[:-3]))
        if self.vector_encoder is not None:
            vector = targets["vector"]
            if self.config.vector_bins:
                binned = piecewise_linear(vector, self.vector_low, self.bin_width, self.config.vector_bins)
                vector = torch.cat([vector, binned], -1)
            parts.append(self.vector_encoder(vector))
        return torch.cat(parts, -1)

    def normalise(self, vector: Tensor) -> Tensor:
        """Symlog, then the shift and scale of `see_vectors`, (..., D)."""
        return (symlog(vector) - self.vector_mean) / self.vector_scale

    @torch.no_grad()
    def see_vectors(self, vector: Tensor) -> None:
        """Take shift, scale and the range of the bins from vector observations (N, D) of the data, once, before
        training."""
        if self.config.vector_standardise:
            value = symlog(vector)
            self.vector_mean.copy_(value.mean(0))
            self.vector_scale.copy_(value.std(0).clamp(min=1e-2))  # entries that never change stay as they are
        if self.config.vector_bins:
            low, high = torch.aminmax(self.normalise(vector), dim=0)
            self.vector_low.copy_(low)
            self.bin_width.copy_((high - low).clamp(min=1e-2) / self.config.vector_bins)

    def reward(self, features: Tensor) -> Tensor:
        """Expected reward on arriving in a state, (..., F) -> (...)."""
        return self.reward_head(features).mean

    def cost(self, features: Tensor) -> Tensor:
        """Expected cost on arriving in a state, (..., F) -> (...)."""
        return self.cost_head(features).mean

    def continuation(self, features: Tensor) -> Tensor:
        """Probability that the episode goes on from a state, (..., F) -> (...)."""
        return torch.sigmoid(self.continue_head(features).float()).squeeze(-1)

    def filter(self, observation: Batch, before: Latent, action: Tensor, noise: Tensor) -> Latent:
        """Posterior states (N, ...) after one more observation.

        Args:
            observation: "image" (N, ...) and/or "vector" (N, D), and "is_first" (N,), which forgets what was `before`.
            before: states (N, ...) in which `action` (N, A) was taken. noise: uniform, `rssm.noise_shape(N)`.
        """
        embedded = self.rssm.posterior_embedding(self.encode(self.targets(observation)))
        return self.rssm.observe_step(before, action, embedded, observation["is_first"], noise)

    def observe(self, batch: Batch, noise: Tensor) -> Latent:
        """Posterior states of sequences (B, T, ...); noise: uniform, `rssm.noise_shape(B, T)`."""
        embedding = self.encode(self.targets(batch))
        return self.rssm.observe(embedding, batch["action"], batch["is_first"], noise)[0]

    def loss(
        self, batch: Batch, noise: Tensor, foresight_noise: Tensor | None = None
    ) -> tuple[Tensor, Latent, Metrics]:
        """Negative evidence bound of Eq. 1, averaged over (B, T), and the loss of foresight.

        Args:
            batch: observations, action, reward, cost, is_first, is_terminal, each (B, T, ...).
            noise: uniform, `rssm.noise_shape(B, T)`.
            foresight_noise: uniform, `foresight_shape(B, T)`; None where nothing is foreseen.

        Returns:
            The scalar loss, posterior states (B, T, ...) with gradients, and metrics.
        """
        targets = self.targets(batch)
        states, posterior, prior = self.rssm.observe(self.encode(targets), batch["action"], batch["is_first"], noise)
        losses, metrics = self.evidence(batch, targets, states.features, posterior, prior)
        if foresight_noise is not None:
            foreseen = self.foresight_losses(states, batch, foresight_noise)
            losses |= foreseen
            metrics |= {f"world_model/{name}": value.detach() for name, value in foreseen.items()}
        weights = {"cost": self.config.cost_scale, "foresight_cost": self.config.cost_scale}
        return torch.stack([weights.get(name, 1.0) * x for name, x in losses.items()]).sum(), states, metrics

    def evidence(
        self, batch: Batch, targets: Batch, features: Tensor, posterior: Tensor, prior: Tensor
    ) -> tuple[Metrics, Metrics]:
        """The terms of Eq. 1 averaged over (B, T), each (), and metrics; the other arguments are as `targets` and
        `rssm.observe` give them."""
        losses: Metrics = {}
        if self.image_decoder is not None:
            error = self.image_decoder(features.flatten(0, 1)) - targets["image"].flatten(0, 1)
            losses["image"] = squared_norm(error) / len(error)
        if self.vector_decoder is not None:
            error = self.vector_decoder(features).float() - targets["vector"]
            losses["vector"] = error.square().sum(-1)
        losses["reward"] = self.reward_head(features).loss(batch["reward"])
        losses["cost"] = self.cost_loss(features, batch["cost"])
        losses["continue"] = F.binary_cross_entropy_with_logits(
            self.continue_head(features).float().squeeze(-1), 1 - batch["is_terminal"].float(), reduction="none"
        )
        dynamics = categorical_kl(posterior.detach(), prior)
        representation = categorical_kl(posterior, prior.detach())
        losses["dynamics"] = self.config.beta_dynamics * dynamics.clamp(min=self.config.free_nats)
        losses["representation"] = self.config.beta_representation * representation.clamp(min=self.config.free_nats)
        losses = {name: value.mean() for name, value in losses.items()}
        metrics = {f"world_model/{name}": value.detach() for name, value in losses.items()}
        metrics["world_model/kl"] = dynamics.detach().mean()
        metrics["world_model/posterior_entropy"] = -(posterior.exp() * posterior).sum((-2, -1)).detach().mean()
        metrics["world_model/prior_entropy"] = -(prior.exp() * prior).sum((-2, -1)).detach().mean()
        return losses, metrics

    def compile_parts(self) -> None:
        """Compile what `loss` and `imagine` consist of. Not these as a whole: their loops would be unrolled, and be
        compiled for many minutes."""
        self.rssm.filter_step = torch.compile(self.rssm.filter_step, dynamic=False)  # type: ignore[method-assign]
        self.rssm.imagine_step = torch.compile(self.rssm.imagine_step, dynamic=False)  # type: ignore[method-assign]
        self.encode = torch.compile(self.encode, dynamic=False)  # type: ignore[method-assign]
        self.evidence = torch.compile(self.evidence, dynamic=False)  # type: ignore[method-assign]

    def cost_loss(self, features: Tensor, cost: Tensor) -> Tensor:
        """Negative log-likelihood of costs, those of at least 1 weighed by `cost_weight`, (...)."""
        weight = torch.where(cost >= 1, self.config.cost_weight, 1.0)
        return weight * self.cost_head(features).loss(cost)

    def foresight_shape(self, batch: int, time: int) -> tuple[int, ...]:
        """Shape of the uniform noise that `foresight_losses` needs for (B, T) sequences."""
        steps = self.config.foresight
        return self.rssm.noise_shape(steps, batch * len(range(0, time - steps, steps)))

    def foresight_losses(self, states: Latent, batch: Batch, noise: Tensor) -> Metrics:
        """Losses of reward and cost in states that the prior alone foresees, along the recorded actions, each ().

        Every `foresight`-th step of a sequence is a start. Heads that only ever saw posterior states take samples of
        the prior, less sharp, for states without cost: over ten steps about half of the costs were missing.

        Args:
            states: posterior, (B, T, ...), with gradients. noise: uniform, `foresight_shape(B, T)`.
        """
        steps, time = len(noise), batch["action"].shape[1]
        starts = torch.arange(0, time - steps, steps, device=noise.device)
        ahead = starts.unsqueeze(-1) + torch.arange(1, steps + 1, device=noise.device)  # (starts, K)

        def foreseen(x: Tensor) -> Tensor:
            return x[:, ahead].flatten(0, 1).transpose(0, 1)  # (B, T, ...) -> (K, B * starts, ...)

        action = foreseen(batch["action"])
        valid = (~foreseen(batch["is_first"])).cumprod(0).float()  # nothing is foreseen beyond an episode's end
        start = Latent(states.h[:, starts].flatten(0, 1), states.z[:, starts].flatten(0, 1))
        features = self.imagine(start, lambda _, step: action[step], noise)[0][1:]
        reward = self.reward_head(features).loss(foreseen(batch["reward"]))
        cost = self.cost_loss(features, foreseen(batch["cost"]))
        count = parallel.average(valid.sum()).clamp(min=1)
        return {
            "foresight_reward": (valid * reward).sum() / count,
            "foresight_cost": (valid * cost).sum() / count,
        }

    def imagine(self, start: Latent, policy: Callable[[Tensor, int], Tensor], noise: Tensor) -> tuple[Tensor, Tensor]:
        """Roll the prior forward under a policy (Eq. 6).

        Args:
            start: N states. policy: (features (N, F), step) -> actions (N, A). noise: uniform, (H, N, S).

        Returns:
            Features of the states s^0..s^H, (H + 1, N, F), and the actions a^0..a^{H-1}, (H, N, A).
        """
        state, features, actions = start, [start.features], []
        for step in range(len(noise)):
            actions.append(policy(features[-1], step))
            state = self.rssm.imagine_step(state, actions[-1], noise[step])
            features.append(state.features)
        return torch.stack(features), torch.stack(actions)

    def decode(self, features: Tensor) -> dict[str, Tensor]:
        """Observations predicted from states, (..., F) -> image uint8 (..., 64, 64, C), vector (..., D)."""
        observation = {}
        if self.image_decoder is not None:
            image = self.image_decoder(features.flatten(0, -2)).unflatten(0, features.shape[:-1])
            pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8)
            observation["image"] = from_patches(pixels, self.config.patch)
        if self.vector_decoder is not None:
            observation["vector"] = symexp(self.vector_decoder(features).float() * self.vector_scale + self.vector_mean)
        return observation

    def open_loop(self, batch: Batch, context: int, noise: Tensor) -> dict[str, Tensor]:
        """Filter `context` steps of (B, T) sequences, then predict the rest from actions alone.

        Returns:
            Decoded observations (B, T, ...), and the states under "features", (B, T, F).
        """
        embedding = self.encode(self.targets({name: value[:, :context] for name, value in batch.items()}))
        seen, _, _ = self.rssm.observe(
            embedding, batch["action"][:, :context], batch["is_first"][:, :context], noise[:, :context]
        )
        start = Latent(seen.h[:, -1], seen.z[:, -1])
        future = batch["action"][:, context:].transpose(0, 1)
        imagined, _ = self.imagine(start, lambda _, step: future[step], noise[:, context:].transpose(0, 1))
        features = torch.cat([seen.features, imagined[1:].transpose(0, 1)], 1)
        return {**self.decode(features), "features": features}
