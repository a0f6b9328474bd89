"""Writes tests/oracle.json: what trec_eval (by pytrec_eval) and ranx say of generated runs.

    pip install pytrec_eval-terrier==0.5.11 ranx==0.3.21 && python tools/make_oracle.py

The runs themselves are generated here and in tests/oracle.rs by the same generator (Knuth's MMIX linear congruential one), so
that only the scores are kept: {"trec": [[mean per metric] per run], "ranx": …}. With ties only trec_eval is asked: ranx keeps
equal scores in the order in which they come.
"""

import json
from pathlib import Path

import pytrec_eval
from ranx import Qrels, Run, evaluate

RUNS = 1000
METRICS = ["P_5", "recall_10", "map", "map_cut_10", "ndcg", "ndcg_cut_10", "recip_rank", "success_5"]
RANX = ["precision@5", "recall@10", "map", "map@10", "ndcg", "ndcg@10", "mrr", "hit_rate@5"]


class Generator:
    def __init__(self, seed):
        self.state = seed

    def below(self, most):
        self.state = (self.state * 6364136223846793005 + 1442695040888963407) % 2**64
        return (self.state >> 33) % most


def run(number):
    """Queries with judgements and results: some without results, some with short lists, some with equal scores."""
    g = Generator(number + 1)
    tied = number % 2 == 1
    qrels, results = {}, {}
    for q in range(1 + g.below(6)):
        name = f"q{q}"
        qrels[name] = {f"d{g.below(40)}": g.below(4) for _ in range(1 + g.below(12))}
        qrels[name]["d40"] = 1
        hits = {}
        for place in range(g.below(31)):
            document = f"d{g.below(60)}"
            score = g.below(6) if tied else 1000 - place
            hits.setdefault(document, float(score))
        if hits:
            results[name] = hits
    return qrels, results, tied


def main():
    trec, ranx = [], []
    for number in range(RUNS):
        qrels, results, tied = run(number)
        measured = pytrec_eval.RelevanceEvaluator(
            qrels, {"P.5", "recall.10", "map", "map_cut.10", "ndcg", "ndcg_cut.10", "recip_rank", "success.5"}
        ).evaluate(results)
        # As `trec_eval -c`: a query without results counts as 0.
        trec.append([round(sum(one[m] for one in measured.values()) / len(qrels), 12) for m in METRICS])
        if tied or not results:
            ranx.append(None)
            continue
        relevant = {q: {d: g for d, g in judged.items() if g > 0} for q, judged in qrels.items()}
        found = Run({q: results.get(q, {"none": 0.0}) for q in qrels})
        scores = evaluate(Qrels(relevant), found, RANX, make_comparable=False)
        ranx.append([round(float(scores[m]), 12) for m in RANX])
    body = {"metrics": RANX, "trec": trec, "ranx": ranx}
    Path(__file__).parent.parent.joinpath("tests/oracle.json").write_text(json.dumps(body, separators=(",", ":")) + "\n")
    print(RUNS, "runs,", sum(one is not None for one in ranx), "of them by ranx")


main()
