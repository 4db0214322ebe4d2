"""A corpus small enough to read: 60 documents on eight subjects, 24 training and 8 test queries.

What it holds on purpose: queries with two positives, one document that stands there twice (``garden-2`` and
``garden-2-copy``), a document without a title, and ``TRUTH``: more relevant documents than the labels name.
"""

from __future__ import annotations

import json
from pathlib import Path

# subject -> (title, text) of its documents; the id is the subject and a number from 1.
SUBJECTS = {
    "bread": [
        ("Feeding a sourdough starter", "Stir equal weights of flour and water into the starter every day and leave it at room temperature."),
        ("Why a loaf does not rise", "Old yeast, cold dough or too much salt keep bread flat. Let it prove until it has doubled."),
        ("Rye bread", "Rye flour holds little gluten, so the crumb stays dense and moist. Bake it in a tin."),
        ("Freezing bread", "Slice the loaf, wrap it well and freeze it on the day of baking; toast the slices while frozen."),
        ("A crisp crust", "Steam in the first ten minutes of baking keeps the skin soft, so that the crust becomes thin and crisp."),
        ("Kneading by hand", "Push, fold and turn for ten minutes until the dough is smooth and springs back."),
        ("Reviving a neglected starter", "Pour off the dark liquid, keep a spoonful of starter and feed it with flour and water twice a day."),
    ],
    "bike": [
        ("Patching a punctured tube", "Roughen the rubber around the hole, spread the glue thinly, wait until it is dry and press the patch on."),
        ("Indexing the gears", "Turn the barrel adjuster half a turn at a time until the chain runs quietly on every sprocket."),
        ("Squealing disc brakes", "Oil on the pads or the rotor makes brakes squeal. Clean the rotor with alcohol and sand the pads."),
        ("Chain wear", "A chain that has stretched by more than three quarters of a percent eats the sprockets. Measure and replace it."),
        ("Saddle height", "With the heel on the pedal at its lowest point the leg should be straight."),
        ("Riding in winter", "Studded tyres, mudguards and a light that shows you from the side make icy mornings safer."),
        ("Finding the hole in an inner tube", "Pump the tube up and hold it under water; bubbles rise where air escapes."),
    ],
    "garden": [
        ("Slugs on lettuce", "Pick slugs off after dusk, or lay a board as a trap and lift it in the morning."),
        ("Watering tomatoes", "Water tomatoes at the root in the morning. Wet leaves invite blight, and uneven watering splits the fruit."),
        ("Composting leaves", "Shredded leaves rot in a year if they are kept damp and turned now and then."),
        ("Pruning roses", "Cut above an outward bud in early spring and take out dead and crossing stems."),
        ("Bees in the garden", "Single flowers from March to October feed wild bees; double ones offer no nectar."),
        ("Blight on tomato plants", "Brown patches on leaves and fruit after warm wet days are blight. Remove the plants and do not compost them."),
        ("Raised beds", "A raised bed warms up early, drains well and spares the back."),
    ],
    "python": [
        ("Reading a large file", "Iterate over the file object: one line is held in memory at a time, however large the file is."),
        ("Virtual environments", "python -m venv makes a folder with its own packages, apart from those of the system."),
        ("List or tuple", "A tuple cannot be changed after it was made and can be a dictionary key; a list can grow."),
        ("Default arguments", "A default value is made once, when the function is defined, so a mutable list as default is shared by all calls."),
        ("Sorting by two keys", "sorted(rows, key=lambda row: (row.year, row.name)) orders by year and then by name."),
        ("Catching exceptions", "Name the exception that you expect; a bare except also hides typing errors and interrupts."),
        ("The mutable default trap", "Use None as the default and make the list inside the function, or every call appends to one list."),
        ("Generators", "A function with yield gives its values one by one and keeps none of them."),
    ],
    "sky": [
        ("Why the sky is blue", "Air scatters short waves of light more than long ones, so blue reaches the eye from every direction."),
        ("Phases of the moon", "Half of the moon is always lit; how much of that half we see changes as it goes round the earth."),
        ("Eclipses", "In a solar eclipse the moon hides the sun; in a lunar eclipse the earth's shadow falls on the moon."),
        ("Shooting stars", "Grains of dust burn up in the high atmosphere and draw a bright line for a second."),
        ("Red sunsets", "Low sunlight crosses more air, the blue is scattered out of the beam, and red and orange are left."),
        ("The nearest star", "After the sun the nearest star is Proxima Centauri, a little more than four light years away."),
        ("Tides", "The moon's pull raises the sea on the near and on the far side of the earth, twice a day."),
    ],
    "sleep": [
        ("Coffee and sleep", "Half of the caffeine of an afternoon cup is still in the blood at bedtime; stop drinking coffee at noon."),
        ("Jet lag", "Daylight in the morning of the new place shifts the inner clock by about an hour a day."),
        ("Naps", "Twenty minutes refresh; an hour leads into deep sleep, from which one wakes up groggy."),
        ("Screens in the evening", "Bright light late in the evening delays the hormone that makes us tired."),
        ("Snoring", "Lying on the side, less alcohol and a clear nose often stop snoring. Pauses in breathing need a doctor."),
        ("Teenagers sleep late", "In puberty the inner clock moves back by an hour or two, so early lessons cost sleep."),
        ("", "Anyone who lies awake for long should get up, read by a dim lamp and go back to bed when tired."),
    ],
    "money": [
        ("Compound interest", "Interest that is left in the account earns interest itself, so savings grow faster each year."),
        ("Emergency savings", "Keep three months of spending where you can reach it the same day, before you invest anything."),
        ("Index funds", "An index fund buys every share of a market, costs little and beats most managed funds over ten years."),
        ("Credit card debt", "Pay the dearest debt first: no safe investment earns what a credit card charges."),
        ("Inflation", "When prices rise by two percent a year, cash loses half of its worth in thirty-five years."),
        ("Splitting a bill", "Divide by what each one ordered, or by the number of people when the amounts are close."),
        ("Paying off loans", "List the debts by interest rate and put every spare coin into the most expensive one."),
    ],
    "dogs": [
        ("House training a puppy", "Take the puppy out after every meal, nap and game, and praise it on the spot."),
        ("Chocolate is poisonous", "Theobromine in chocolate harms dogs: dark chocolate is the worst. Call a vet at once."),
        ("Pulling on the lead", "Stop whenever the lead is tight and go on when it is loose; be patient for a week."),
        ("Ticks", "Grip the tick with tweezers close to the skin and pull it out slowly and straight."),
        ("Barking at the door", "Reward silence, not barking: ring the bell yourself and give a treat for each quiet moment."),
        ("Grapes and raisins", "Even a few grapes or raisins can damage a dog's kidneys; ring the vet."),
        ("How much exercise", "Most grown dogs need an hour of walking a day; working breeds need twice that."),
        ("Brushing a long coat", "Brush a long coat every other day from the skin outwards, or knots form behind the ears."),
        ("Old dogs", "A softer bed, shorter walks and smaller meals help a dog with stiff joints."),
    ],
}

# (text, labelled positives, further relevant documents that only the truth names)
TRAIN = [
    ("how often should I feed my sourdough starter", ["bread-1"], ["bread-7"]),
    ("my bread stays flat", ["bread-2"], []),
    ("keep bread fresh for longer", ["bread-4"], []),
    ("how to get a crunchy crust on homemade bread", ["bread-5"], []),
    ("fix a flat bicycle tyre", ["bike-1", "bike-7"], []),
    ("gears skip when I change up", ["bike-2"], ["bike-4"]),
    ("brakes make a loud noise", ["bike-3"], []),
    ("when to replace a bicycle chain", ["bike-4"], []),
    ("something eats my salad plants at night", ["garden-1"], []),
    ("when should tomatoes be watered", ["garden-2"], ["garden-2-copy"]),
    ("what to do with autumn leaves", ["garden-3"], []),
    ("where to cut a rose bush", ["garden-4"], []),
    ("read a huge file without running out of memory", ["python-1"], ["python-8"]),
    ("list default argument keeps old values", ["python-4"], ["python-7"]),
    ("order records by several columns", ["python-5"], []),
    ("why is the sky blue", ["sky-1"], ["sky-5"]),
    ("difference between a solar and a lunar eclipse", ["sky-3"], []),
    ("what is a falling star", ["sky-4"], []),
    ("does coffee in the afternoon keep you awake", ["sleep-1"], []),
    ("adjust to a new time zone", ["sleep-2"], []),
    ("cannot fall asleep", ["sleep-7", "sleep-4"], ["sleep-1"]),
    ("which debt should I pay first", ["money-4"], ["money-7"]),
    ("how much money to keep aside for emergencies", ["money-2"], []),
    ("food that is dangerous for dogs", ["dogs-2", "dogs-6"], []),
]
TEST = [
    ("starter smells bad after weeks in the fridge", ["bread-7"], ["bread-1"]),
    ("locate a puncture", ["bike-7"], ["bike-1"]),
    ("brown spots on tomato leaves", ["garden-6"], ["garden-2", "garden-2-copy"]),
    ("shared mutable default in a function", ["python-7", "python-4"], []),
    ("why are sunsets red", ["sky-5"], ["sky-1"]),
    ("is a long nap bad", ["sleep-3"], []),
    ("cheap way to invest in the stock market", ["money-3"], []),
    ("stop my dog from pulling", ["dogs-3"], []),
]


def documents() -> list[tuple[str, str, str]]:
    """The 60 documents as ``(doc_id, title, text)``, the copy last."""
    rows = [(f"{subject}-{n}", *pair) for subject, pairs in SUBJECTS.items() for n, pair in enumerate(pairs, start=1)]
    copied = next(row for row in rows if row[0] == "garden-2")
    return [*rows, ("garden-2-copy", *copied[1:])]


def write_beir(folder: Path) -> Path:
    """``folder``, now holding the corpus in BEIR's layout: what a user would upload."""
    (folder / "qrels").mkdir(parents=True, exist_ok=True)
    queries = [(f"train-{n}", *row) for n, row in enumerate(TRAIN, start=1)]
    queries += [(f"test-{n}", *row) for n, row in enumerate(TEST, start=1)]
    _write_lines(folder / "corpus.jsonl", ({"_id": i, "title": title, "text": text} for i, title, text in documents()))
    _write_lines(folder / "queries.jsonl", ({"_id": i, "text": text} for i, text, _, _ in queries))
    labelled = [(i, doc) for i, _, docs, _ in queries for doc in docs]
    _write_qrels(folder / "qrels" / "train.tsv", [pair for pair in labelled if pair[0].startswith("train-")])
    _write_qrels(folder / "qrels" / "test.tsv", [pair for pair in labelled if pair[0].startswith("test-")])
    _write_qrels(folder / "qrels" / "truth.tsv", labelled + [(i, doc) for i, _, _, more in queries for doc in more])
    return folder


def _write_lines(path: Path, records) -> None:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def _write_qrels(path: Path, pairs: list[tuple[str, str]]) -> None:
    path.write_text("query-id\tcorpus-id\tscore\n" + "".join(f"{q}\t{d}\t1\n" for q, d in pairs), encoding="utf-8")
