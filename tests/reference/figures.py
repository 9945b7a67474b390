"""The figures of a report as slow loops over rows, written apart from the code they check."""

from __future__ import annotations

import math
import random


def ranks(scores, labels):
    """Position of each label when the classes are sorted by (-score, class index)."""
    found = []
    for row, label in zip(scores, labels, strict=True):
        order = sorted(range(len(row)), key=lambda c: (-row[c], c))
        found.append(order.index(label))
    return found


def share(hits):
    return sum(hits) / len(hits) if hits else None


def recall_by_class(labels, predictions, classes):
    """Recall of each class, None for a class without rows."""
    found = []
    for c in range(classes):
        given = [p for y, p in zip(labels, predictions, strict=True) if y == c]
        found.append(sum(p == c for p in given) / len(given) if given else None)
    return found


def precision_by_class(labels, predictions, classes):
    found = []
    for c in range(classes):
        truth = [y for y, p in zip(labels, predictions, strict=True) if p == c]
        found.append(sum(y == c for y in truth) / len(truth) if truth else None)
    return found


def f1_by_class(labels, predictions, classes):
    """Harmonic mean of precision and recall; None without test rows, 0 where nothing is right."""
    recalls = recall_by_class(labels, predictions, classes)
    precisions = precision_by_class(labels, predictions, classes)
    found = []
    for p, r in zip(precisions, recalls, strict=True):
        if r is None:
            found.append(None)
        elif p is None or p + r == 0:
            found.append(0.0)
        else:
            found.append(2 * p * r / (p + r))
    return found


def mean_of_known(values):
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def pairs(labels, predictions):
    """(label, prediction, count), most frequent first, ties in class order."""
    counts = {}
    for pair in zip(labels, predictions, strict=True):
        counts[pair] = counts.get(pair, 0) + 1
    return sorted(
        ((y, p, n) for (y, p), n in counts.items()), key=lambda found: (-found[2], found[:2])
    )


def group_of(count, many, few):
    return "many" if count > many else "few" if count < few else "medium"


def calibration_error(confidence, correct, bins):
    """Bins (low, high]; the first holds 0 too."""
    total = 0.0
    for b in range(bins):
        low, high = b / bins, (b + 1) / bins
        inside = [
            (s, c)
            for s, c in zip(confidence, correct, strict=True)
            if (low < s <= high) or (b == 0 and s == 0)
        ]
        if inside:
            sure = sum(s for s, _ in inside) / len(inside)
            right = sum(c for _, c in inside) / len(inside)
            total += len(inside) / len(confidence) * abs(right - sure)
    return total


def risk_points(confidence, correct):
    """(threshold, coverage, risk) at each distinct confidence, surest first."""
    found = []
    for threshold in sorted(set(confidence), reverse=True):
        answered = [c for s, c in zip(confidence, correct, strict=True) if s >= threshold]
        risk = sum(not c for c in answered) / len(answered)
        found.append((threshold, len(answered) / len(confidence), risk))
    return found


def area_under_risk(confidence, correct):
    """Mean over the rows of the risk among the rows at least as sure as they are."""
    points = {threshold: risk for threshold, _, risk in risk_points(confidence, correct)}
    return sum(points[s] for s in confidence) / len(confidence)


def bootstrap(labels, hits, members, resamples, seed):
    """(shares, macros) of rows drawn one by one with replacement; None where no class is in it."""
    draw = random.Random(seed)
    shares, macros = [], []
    for _ in range(resamples):
        rows = [draw.randrange(len(labels)) for _ in labels]
        shares.append(sum(hits[r] for r in rows) / len(rows))
        recalls = []
        for c in members:
            of_class = [hits[r] for r in rows if labels[r] == c]
            if of_class:
                recalls.append(sum(of_class) / len(of_class))
        macros.append(sum(recalls) / len(recalls) if recalls else None)
    return shares, macros


def binomial_lower(successes, trials, confidence):
    """The rate at which seeing so many successes or more has probability 1 - confidence."""
    if successes == 0:
        return 0.0
    low, high = 0.0, 1.0
    for _ in range(200):
        rate = (low + high) / 2
        at_least = sum(
            math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k)
            for k in range(successes, trials + 1)
        )
        low, high = (rate, high) if at_least < 1 - confidence else (low, rate)
    return low


def harmonic(recalls, floor=0.001):
    """Harmonic mean of the known recalls, each at least the floor."""
    known = [max(recall, floor) for recall in recalls if recall is not None]
    return len(known) / sum(1 / recall for recall in known) if known else None


def macro_over_predicted(labels, predictions, classes):
    """Mean recall over the classes that are a label or a prediction; 0 for one without rows."""
    seen = sorted(set(labels) | set(predictions))
    recalls = recall_by_class(labels, predictions, classes)
    return sum(recalls[c] or 0.0 for c in seen) / len(seen)


def sign_test(lost, gained):
    """Probability that a fair coin is at least as far from even, on either side."""
    tosses = lost + gained
    if tosses == 0:
        return 1.0
    far = abs(lost - gained)
    return sum(
        math.comb(tosses, heads) / 2**tosses
        for heads in range(tosses + 1)
        if abs(tosses - 2 * heads) >= far
    )


def false_discoveries(values, rate):
    """Benjamini-Hochberg by trying every number of discoveries, the largest first."""
    order = sorted(range(len(values)), key=lambda i: values[i])
    for k in range(len(values), 0, -1):
        if values[order[k - 1]] <= rate * k / len(values):
            return {i for i in range(len(values)) if values[i] <= values[order[k - 1]]}
    return set()


def changes(labels, before, after, classes):
    """(rows, lost, gained) of each class, for two runs that are right where they say so."""
    found = []
    for c in range(classes):
        rows = [i for i, label in enumerate(labels) if label == c]
        lost = sum(before[i] and not after[i] for i in rows)
        gained = sum(after[i] and not before[i] for i in rows)
        found.append((len(rows), lost, gained))
    return found


def paired_bootstrap(labels, before, after, members, resamples, seed):
    """Differences of the mean recall over classes, of rows drawn one by one, the same for both."""
    draw = random.Random(seed)
    found = []
    for _ in range(resamples):
        rows = [draw.randrange(len(labels)) for _ in labels]
        differences = []
        for c in members:
            mine = [r for r in rows if labels[r] == c]
            if mine:
                differences.append(sum(after[r] - before[r] for r in mine) / len(mine))
        if differences:
            found.append(sum(differences) / len(differences))
    return found


def harmonic_bootstrap(labels, hits, classes, resamples, seed):
    draw = random.Random(seed)
    found = []
    for _ in range(resamples):
        rows = [draw.randrange(len(labels)) for _ in labels]
        recalls = []
        for c in range(classes):
            mine = [hits[r] for r in rows if labels[r] == c]
            recalls.append(sum(mine) / len(mine) if mine else None)
        found.append(harmonic(recalls))
    return found


def values_of_fills(truth, best, filled, known):
    """{value: (known, written, cells, filled, correct, abstained)} of one attribute's cells."""
    found = {}
    cells = list(zip(truth, best, filled, known, strict=True))
    for value in {v for t, b, _, _ in cells for v in (t, b) if v is not None}:
        judged = [(t, b, f) for t, b, f, k in cells if not k and t is not None]
        counts = (
            sum(k and b == value for _, b, _, k in cells),
            sum(f and not k and b == value for _, b, f, k in cells),
            sum(t == value for t, _, _ in judged),
            sum(f and b == value for _, b, f in judged),
            sum(f and b == value == t for t, b, f in judged),
            sum(not f and t == value for t, _, f in judged),
        )
        if counts[0] or counts[1] or counts[2]:
            found[value] = counts
    return found
