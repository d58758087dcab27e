"""The checker that the tests put behind every annotation of the package: an int may stand where a float may."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
