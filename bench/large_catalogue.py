"""Writes events of 200,000 users with a catalogue of a million items: `python bench/large_catalogue.py FOLDER` makes FOLDER/events.csv and items.csv.

Items lie in 500 topics, each user likes three of them; within a topic popularity falls as rank^-0.7; a fifth of the events goes anywhere. Needs numpy.
"""
import pathlib
import sys

import numpy as np

ITEMS, USERS, EVENTS, TOPICS, BLOCK = 1_000_000, 200_000, 20, 500, 20_000


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    likes = rng.integers(0, TOPICS, (USERS, 3))
    size = ITEMS // TOPICS
    share = 1 / np.arange(1, size + 1) ** 0.7
    below = np.cumsum(share / share.sum())
    with open(folder / "events.csv", "w") as file:
        file.write("user_id,item_id,timestamp\n")
        for first in range(0, USERS, BLOCK):
            users = np.repeat(np.arange(first, first + BLOCK), EVENTS)
            topics = likes[users, rng.integers(0, 3, len(users))]
            ranks = np.searchsorted(below, rng.random(len(users))).clip(0, size - 1)
            items = topics * size + ranks
            anywhere = rng.random(len(users)) < 0.2
            items = np.where(anywhere, rng.integers(0, ITEMS, len(users)), items)
            days = np.arange(len(users)) % EVENTS
            times = 1_700_000_000 + days * 86_400 + rng.integers(0, 80_000, len(users))
            np.savetxt(file, np.stack([users, items, times], 1), fmt="u%d,i%d,%d")
    with open(folder / "items.csv", "w") as file:
        file.write("item_id,title\n")
        file.writelines(f"i{item},Thing {item} of topic {item // size}\n" for item in range(ITEMS))


main()
