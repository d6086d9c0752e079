"""What the name of a column suggests that it holds."""

from __future__ import annotations

import re

LABELS = (
    *("label", "target", "y", "click", "clicked", "clk", "conversion", "converted", "purchase"),
    *("purchased", "bought", "ordered", "churn", "churned", "response", "responded", "outcome"),
    *("survived", "subscribed", "liked", "returned", "fraud", "income", "class"),
)
RATINGS = ("rating", "stars", "score", "overall")
USERS = (
    *("user", "customer", "member", "visitor", "account", "uid", "reviewer", "client", "buyer"),
    *("subscriber", "person"),
)
ITEMS = (
    *("item", "product", "sku", "movie", "article", "isbn", "asin", "song", "track", "book"),
    *("offer", "listing", "business", "restaurant", "video", "game", "ad"),
)
_TIMES = {"time", "timestamp", "date", "datetime", "ts", "at", "when", "day"}
_CODES = {
    *("id", "code", "zip", "zipcode", "postcode", "type", "kind", "class", "category", "group"),
    *("cluster", "store", "shop", "region", "branch", "brand", "device", "os", "browser", "hash"),
    *("channel", "campaign", "department", "number", "no", "key"),
}
_KEYS = {"id", "key", "no", "number", "code"}
_ROWS = {"id", "index", "row", "row_id", "rowid", "row_number", "line", "unnamed_0"}
_SPLITS = {"split", "fold", "subset", "partition", "set"}


def words_of(name: str) -> list[str]:
    """Returns the words of a name such as `userId`, `user_id` or `User ID`, in lower case."""
    spaced = re.sub(r"([a-z0-9])([A-Z])", r"\1 \2", name)
    return [word for word in re.split(r"[\W_]+", spaced.lower()) if word]


def names_key(name: str, owners: tuple[str, ...]) -> int | None:
    """Returns which of some owners a column seems to be the id of, as `customer_id` is."""
    words = words_of(name)
    if words and words[0] in owners and (len(words) == 1 or set(words[1:]) <= _KEYS):
        return owners.index(words[0])
    if words and "".join(words) in [f"{owner}id" for owner in owners]:
        return [f"{owner}id" for owner in owners].index("".join(words))
    return None


def holds(name: str, wanted: tuple[str, ...]) -> int:
    """Returns 2 where a name is one of some words, 1 where it holds one, else 0."""
    words = words_of(name)
    return 2 if "_".join(words) in wanted else int(bool(set(words) & set(wanted)))


def names_time(name: str) -> bool:
    """Returns whether a column seems to hold times."""
    return bool(set(words_of(name)) & _TIMES)


def has_no_name(name: str) -> bool:
    """Returns whether a column is called by its place, as its file names none."""
    return re.fullmatch(r"column_[0-9]+", name) is not None


def names_code(name: str) -> bool:
    """Returns whether the numbers of a column seem to be names rather than amounts."""
    return bool(set(words_of(name)) & _CODES)


def names_rows(name: str) -> bool:
    """Returns whether a column seems to number the rows."""
    return "_".join(words_of(name)) in _ROWS


def names_splits(name: str) -> bool:
    """Returns whether a column seems to name the split of each row."""
    return "_".join(words_of(name)) in _SPLITS


def identifier(name: str, taken: set[str]) -> str:
    """Returns a name of letters, digits and _ that is not taken yet."""
    base = re.sub(r"\W+", "_", name).strip("_") or "column"
    base = base if base.isidentifier() else f"_{base}"
    found, number = base, 1
    while found in taken:
        number += 1
        found = f"{base}_{number}"
    return found
