"""What every other room uses; the names here are those that a project takes from it."""

from imageproof.base import errors as errors
from imageproof.base import files as files
from imageproof.base import text as text
from imageproof.base._dataset import DataParams as DataParams
from imageproof.base._dataset import Dataset as Dataset
from imageproof.base._dataset import Images as Images
from imageproof.base._dataset import Metrics as Metrics
from imageproof.base._dataset import Probabilities as Probabilities
from imageproof.base._dataset import Shape as Shape
from imageproof.base.files import StrictModel as StrictModel
