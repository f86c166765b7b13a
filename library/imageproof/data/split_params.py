"""`split:` in params.yaml."""

from fractions import Fraction
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from imageproof.base._class_names import spelled
from imageproof.base.files import StrictModel

Share = Annotated[float, Field(gt=0, lt=1)]


class _Parts(StrictModel):
    """Fractions of the same rows."""

    @model_validator(mode="after")
    def _leave_training_rows(self) -> Self:
        shares = self.model_dump()
        total = float(sum(map(exact, shares.values())))
        if total >= 1:
            raise ValueError(f"{' + '.join(shares)} is {total:g}; it must be below 1")
        return self


class OfficialParams(_Parts):
    """Fractions of the official training part; the official test part is the test split."""

    validation: Share
    holdout: Share


class StratifiedParams(StrictModel):
    """`test` is a fraction of all rows, `holdout` one of those rows, `validation` of all others."""

    test: Share
    holdout: Share
    validation: Share


class HashedParams(_Parts):
    """Fractions of all rows, or of all groups; about as many get into each part."""

    holdout: Share
    test: Share
    validation: Share


class SplitParams(StrictModel):
    """`split:` in params.yaml.

    Of images with equal pixels, `copies: drop` uses only the first. The rows of a `group`, a column
    of labels.csv, go into one part.
    """

    method: Literal["official", "hashed", "stratified"]
    official: OfficialParams
    hashed: HashedParams
    stratified: StratifiedParams
    copies: Literal["keep", "drop"]
    group: Annotated[str, AfterValidator(spelled), Field(min_length=1, max_length=100)] | None

    def shares(self) -> dict[str, float]:
        """Of the rows drawn from, by part, without the training part and an official test part."""
        if self.method == "official":
            return self.official.model_dump()
        if self.method == "hashed":
            return self.hashed.model_dump()
        test = self.stratified.test
        holdout = self.stratified.holdout
        validation = (1 - test) * self.stratified.validation
        return {"holdout": test * holdout, "test": test * (1 - holdout), "validation": validation}


def exact(share: float) -> Fraction:
    """The decimal as written: 0.07 of 100 rows is 7; as a float it is 7.000000000000001."""
    return Fraction(str(share))
