"""Torchvision's detectors as modules of tensors: images of one size in, tensors of one size out.

As torchvision has them they take lists of images, which they normalise and resize by themselves, and answer with as
many boxes as they find. Names of weights are those of torchvision, so that a checkpoint fits as it is.
"""

import torch
from torch import nn
from torchvision.models.detection.faster_rcnn import FasterRCNN
from torchvision.models.detection.image_list import ImageList


class Heads(nn.Module):
    """The backbone and the heads of a detector of one stage: scores and corners of each anchor, before any choice."""

    def __init__(self, whole: nn.Module):
        super().__init__()
        self.backbone, self.head = whole.backbone, whole.head

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the raw heads, float [images, anchors, ...] each, by torchvision's names."""
        found = self.backbone(images)
        return self.head(list(found.values()) if isinstance(found, dict) else [found])


class Boxes(nn.Module):
    """A detector of two stages, whose second looks at what the first has chosen: boxes, most of them found or empty.

    images, as they are given, are neither normalised nor resized.
    """

    def __init__(self, whole: FasterRCNN):
        super().__init__()
        self.backbone, self.rpn, self.roi_heads = whole.backbone, whole.rpn, whole.roi_heads

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return `boxes` [images, rows, 4], `scores` and `labels` [images, rows]; rows beyond those found are zeros."""
        sizes = [(images.shape[2], images.shape[3])] * images.shape[0]
        features = self.backbone(images)
        proposals, _ = self.rpn(ImageList(images, sizes), features)
        found, _ = self.roi_heads(features, proposals, sizes)
        return {name: torch.stack([self.filled(one[name]) for one in found]) for name in ("boxes", "scores", "labels")}

    def filled(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows with zeros after them, as many as an image may have."""
        missing = self.roi_heads.detections_per_img - rows.shape[0]
        return nn.functional.pad(rows, (0, 0) * (rows.dim() - 1) + (0, missing))


def of_tensors(whole: nn.Module) -> nn.Module:
    """Return a detector of torchvision's as a module of tensors."""
    return Boxes(whole) if hasattr(whole, "roi_heads") else Heads(whole)
