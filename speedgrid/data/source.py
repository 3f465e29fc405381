"""What all sources of images share: the names of the parts, and how many images each has."""

REFERENCE = 64
CALIBRATION = 128
PARTS = ("reference", "calibration", "evaluation")
# ImageNet's mean and deviation of the channels red, green and blue, as all of torchvision's presets have them.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class DataError(ValueError):
    """Images that cannot be used; the message names the key or the file and what would be right."""
