"""The losses: their closed forms, whatever captions are shared by several images."""

from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor

from trainables.workloads.clip.losses import contrastive_loss

MODEL = SimpleNamespace(logit_scale=torch.tensor(1.5), logit_bias=torch.tensor(-2.0))


def features() -> tuple[Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    images_BD, texts_UD = (F.normalize(torch.randn(n, 7, generator=rng), dim=-1) for n in (5, 3))
    return images_BD, texts_UD[torch.tensor([0, 1, 1, 2, 0])]


def test_siglip_is_the_mean_over_images_of_the_sigmoid_losses_of_all_pairs() -> None:
    """ArXiv 2303.15343, equation 1: a caption that two images share is a negative of either, as in open_clip."""
    images_BD, texts_BD = features()
    logits_BB = images_BD @ texts_BD.T * MODEL.logit_scale.exp() + MODEL.logit_bias
    signs_BB = 2 * torch.eye(5) - 1
    expected = -F.logsigmoid(signs_BB * logits_BB).sum() / 5
    torch.testing.assert_close(contrastive_loss("siglip")(images_BD, texts_BD, MODEL), expected)


def test_clip_is_symmetric_cross_entropy() -> None:
    images_BD, texts_BD = features()
    logits_BB = images_BD @ texts_BD.T * MODEL.logit_scale.exp()
    expected = (F.cross_entropy(logits_BB, torch.arange(5)) + F.cross_entropy(logits_BB.T, torch.arange(5))) / 2
    torch.testing.assert_close(contrastive_loss("clip")(images_BD, texts_BD, MODEL), expected)
