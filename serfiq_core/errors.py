"""The errors of the core. Each says what went wrong in a sentence its reader can act on.

    SerfiqError
    ├── CaptureError                 the bytes or the options of one request
    │   ├── UnsupportedImageTypeError    not JPEG, PNG, WebP or BMP
    │   ├── UndecodableImageError        says it is one of those, and is not, or ends early
    │   ├── ImageDimensionsError         too many pixels, or too few
    │   ├── NotAlignedError              `aligned` was asked for, and it is not 112×112
    │   └── OptionUnavailableError       this recogniser cannot give what was asked for
    ├── PackError                    a pack, its files or its manifest
    │   ├── PackNotFoundError
    │   ├── ManifestError
    │   ├── ChecksumError
    │   ├── WeightsError                 weights that do not fit the network named
    │   ├── UnsuitableError              checked, and found to rank faces backwards or not at all
    │   ├── LicenceError                 the licence was not accepted
    │   ├── DownloadError
    │   ├── ArchiveError                 an archive that is broken, or reaches outside its folder
    │   └── OnnxImportError
    │       ├── UnsupportedOperatorError
    │       └── ImportMismatchError      differs from onnxruntime
    ├── ConfigurationError           profiles, calibration, settings
    ├── RecordError                  a decision record that cannot be read, or not be repeated here
    ├── EvaluationError              photographs, pairs or score columns of an evaluation
    │   └── InsufficientDataError        too few to support an answer
    ├── TrainingError                photographs, embeddings or a checkpoint of a training
    └── EngineError                  the thread that owns the device
        ├── OverloadedError              the queue is full
        ├── DeadlineExceededError
        ├── DeviceMemoryError            a batch does not fit into the device's memory
        ├── PreparationFailedError       the process that prepared the capture died of it
        ├── EngineStalledError           the batch being run takes too long
        └── EngineStoppedError           draining, closed or dead

This file knows no HTTP: `app/problems.py` has the one table that maps these to responses.
"""


class SerfiqError(Exception):
    """Root of every error this package raises on purpose."""


class CaptureError(SerfiqError):
    """The bytes or the options of one request cannot be used."""


class UnsupportedImageTypeError(CaptureError):
    """The bytes are not of an image type that is taken."""


class UndecodableImageError(CaptureError):
    """The bytes are of a type that is taken, but cannot be decoded."""


class ImageDimensionsError(CaptureError):
    """The image has too many pixels, or a side that is too short."""


class NotAlignedError(CaptureError):
    """An aligned face was announced, and the image is not of the aligned size."""


class OptionUnavailableError(CaptureError):
    """The recogniser in use cannot give what was asked for."""


class PackError(SerfiqError):
    """A pack cannot be used, made or fetched."""


class PackNotFoundError(PackError):
    """No pack of this name is installed."""


class ManifestError(PackError):
    """`pack.toml` is missing, unreadable, or says something that cannot be."""


class ChecksumError(PackError):
    """A file is not the file its checksum promises."""


class WeightsError(PackError):
    """Weights do not fit the network they were given for."""


class UnsuitableError(PackError):
    """The suitability check found that the scores of a recogniser mean nothing, or the reverse."""


class LicenceError(PackError):
    """The licence of a pack was not accepted."""


class DownloadError(PackError):
    """A download failed or ended early."""


class ArchiveError(PackError):
    """An archive is broken or reaches outside its folder."""


class OnnxImportError(PackError):
    """An ONNX graph cannot become a recogniser."""


class UnsupportedOperatorError(OnnxImportError):
    """The graph holds an operator, or a form of one, that the importer does not know."""


class ImportMismatchError(OnnxImportError):
    """The imported network does not compute what onnxruntime computes."""


class ConfigurationError(SerfiqError):
    """A profile, a calibration or a setting is wrong."""


class RecordError(SerfiqError):
    """A decision record cannot be read, or what it names is not here."""


class EvaluationError(SerfiqError):
    """Photographs, pairs or score columns from which the figures asked for cannot be computed."""


class InsufficientDataError(EvaluationError):
    """The photographs cannot support the answer asked for; says about how many more would."""


class TrainingError(SerfiqError):
    """A training cannot be done with what it was given, or cannot be resumed."""


class EngineError(SerfiqError):
    """The thread that owns the device could not answer."""


class OverloadedError(EngineError):
    """The queue is full; try again after `retry_after_seconds`."""

    def __init__(self, message: str, retry_after_seconds: float) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class DeadlineExceededError(EngineError):
    """The answer would have come too late."""


class DeviceMemoryError(EngineError):
    """The device has not enough memory for this batch; a smaller one may fit."""


class PreparationFailedError(EngineError):
    """The process that prepared the capture died, or failed for no reason that lies in captures."""


class EngineStalledError(EngineError):
    """The device has been at one batch for longer than anyone waits."""


class EngineStoppedError(EngineError):
    """The engine is draining, closed or dead."""
