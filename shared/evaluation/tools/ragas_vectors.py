"""Writes src/judged/vectors/ragas.json: what ragas makes of scripted verdicts.

    python3 -m venv v && v/bin/pip install ragas==0.4.3
    v/bin/python shared/evaluation/tools/ragas_vectors.py > shared/evaluation/src/judged/vectors/ragas.json

Each case has the verdicts in the form in which our judges give them, and the score of ragas' own metric, whose prompts answer with
the same verdicts in place of a model.
"""

import asyncio
import json
import random
import sys
import types
import warnings

warnings.filterwarnings("ignore")

# ragas 0.4.3 imports it, and newer versions of langchain_community do not have it any more; nothing here uses it.
vertexai = types.ModuleType("langchain_community.chat_models.vertexai")
vertexai.ChatVertexAI = type("ChatVertexAI", (), {})
sys.modules.setdefault(vertexai.__name__, vertexai)

from ragas.dataset_schema import SingleTurnSample
from ragas.metrics._answer_correctness import AnswerCorrectness, ClassificationWithReason
from ragas.metrics._answer_relevance import ResponseRelevanceOutput, ResponseRelevancy
from ragas.metrics._answer_similarity import SemanticSimilarity
from ragas.metrics._context_precision import LLMContextPrecisionWithReference, Verification
from ragas.metrics._context_recall import ContextRecallClassifications, LLMContextRecall
from ragas.metrics._factual_correctness import ClaimDecompositionOutput, FactualCorrectness
from ragas.metrics._faithfulness import Faithfulness, NLIStatementOutput, StatementGeneratorOutput
from ragas.metrics._noise_sensitivity import NoiseSensitivity

draw = random.Random(7)


class Scripted:
    """A prompt that answers with what is left in its script."""

    def __init__(self, answers):
        self.answers = list(answers)

    async def generate(self, **_):
        return self.answers.pop(0)

    async def generate_multiple(self, n=1, **_):
        return [self.answers.pop(0) for _ in range(n)]


class Vectors:
    """Embeddings by text."""

    def __init__(self, known):
        self.known = known

    def embed_query(self, text):
        return self.known[text]

    def embed_documents(self, texts):
        return [self.known[text] for text in texts]

    async def embed_text(self, text):
        return self.known[text]


def bits(n):
    return [draw.randint(0, 1) for _ in range(n)]


def vector():
    return [round(draw.uniform(-1, 1), 6) for _ in range(8)]


def names(of, n):
    return [f"{of} {i}" for i in range(n)]


def statements(of, n):
    return {"statements": names(of, n)}


def verdicts(of, found):
    return {"verdicts": [{"statement": f"{of} {i}", "reason": "r", "verdict": v} for i, v in enumerate(found)]}


def nli(of, found):
    return NLIStatementOutput(statements=verdicts(of, found)["verdicts"])


def score(metric, contexts=1):
    metric.llm = object()
    sample = SingleTurnSample(user_input="question", response="answer", reference="expected",
                              retrieved_contexts=names("context", contexts))
    return float(asyncio.run(metric._single_turn_ascore(sample, None)))


def faithfulness():
    found = bits(draw.randint(1, 7))
    metric = Faithfulness(statement_generator_prompt=Scripted([StatementGeneratorOutput(**statements("a", len(found)))]),
                          nli_statements_prompt=Scripted([nli("a", found)]))
    return {}, {"answer": statements("a", len(found)), "support": verdicts("a", found)}, score(metric)


def answer_relevancy():
    n = draw.randint(1, 4)
    evades = [int(draw.random() < 0.6) for _ in range(n)]
    known = {"question": vector()} | {f"q{i}": vector() for i in range(n)}
    metric = ResponseRelevancy(strictness=n, embeddings=Vectors(known))
    metric.question_generation = Scripted(
        [ResponseRelevanceOutput(question=f"q{i}", noncommittal=e) for i, e in enumerate(evades)])
    outputs = {f"q{i}": {"question": f"q{i}", "noncommittal": e} for i, e in enumerate(evades)}
    return {"questions": n}, outputs | {"vectors": list(known.values())}, score(metric)


def context_precision():
    found = bits(draw.randint(1, 8))
    metric = LLMContextPrecisionWithReference(
        context_precision_prompt=Scripted([Verification(reason="r", verdict=v) for v in found]))
    outputs = {f"context_{i}": {"reason": "r", "verdict": v} for i, v in enumerate(found)}
    return {}, outputs, score(metric, len(found))


def context_recall():
    found = [{"statement": f"s {i}", "reason": "r", "attributed": v} for i, v in enumerate(bits(draw.randint(1, 7)))]
    metric = LLMContextRecall(context_recall_prompt=Scripted([ContextRecallClassifications(classifications=found)]))
    return {}, {"recall": {"classifications": found}}, score(metric)


def factual_correctness():
    part, beta = draw.choice(["precision", "recall", "f1"]), draw.choice([0.5, 1.0, 2.0])
    said, wanted = bits(draw.randint(1, 9)), bits(draw.randint(1, 9))
    metric = FactualCorrectness(mode=part, beta=beta)

    # Both directions run at once; each asks with its own premise.
    async def decompose(response, callbacks):
        return names("a", len(said)) if response == "answer" else names("e", len(wanted))

    metric.decompose_claims = decompose

    class Nli:
        async def generate(self, data, **_):
            return nli("a", said) if data.context == "expected" else nli("e", wanted)

    metric.nli_prompt = Nli()
    outputs = {"answer": statements("a", len(said)), "precision": verdicts("a", said),
               "expected": statements("e", len(wanted)), "recall": verdicts("e", wanted)}
    return {"part": part, "beta": beta}, outputs, score(metric)


def answer_correctness():
    weights, beta = draw.choice([[0.75, 0.25], [1.0, 0.0], [0.3, 0.6]]), draw.choice([0.5, 1.0, 2.0])
    tp, fp, fn = (draw.randint(0, 4) for _ in range(3))
    if draw.random() < 0.1:
        tp = fp = fn = 0
    reasons = lambda n: [{"statement": f"s {i}", "reason": "r"} for i in range(n)]
    classes = {"TP": reasons(tp), "FP": reasons(fp), "FN": reasons(fn)}
    known = {"expected": vector(), "answer": vector()}
    metric = AnswerCorrectness(weights=weights, beta=beta,
                               statement_generator_prompt=Scripted([StatementGeneratorOutput(**statements("a", tp + fp)),
                                                                    StatementGeneratorOutput(**statements("e", tp + fn))]),
                               correctness_prompt=Scripted([ClassificationWithReason(**classes)]))
    metric.answer_similarity = SemanticSimilarity(embeddings=Vectors(known))
    outputs = {"answer": statements("a", tp + fp), "expected": statements("e", tp + fn), "classes": classes,
               "vectors": [known["expected"], known["answer"]]}
    return {"weights": weights, "beta": beta}, outputs, score(metric)


def semantic_similarity():
    known = {"expected": vector(), "answer": vector()}
    metric = SemanticSimilarity(embeddings=Vectors(known))
    return {}, {"vectors": [known["expected"], known["answer"]]}, score(metric)


def noise_sensitivity():
    mode = draw.choice(["relevant", "irrelevant"])
    said, wanted, contexts = draw.randint(1, 5), draw.randint(1, 4), draw.randint(1, 4)
    correct = bits(said)
    outputs = {"expected": statements("e", wanted), "answer": statements("a", said)}
    script = []
    for i in range(contexts):
        of_expected, of_answer = bits(wanted), bits(said)
        if draw.random() < 0.4:
            of_expected = [0] * wanted
        outputs[f"expected_{i}"], outputs[f"answer_{i}"] = verdicts("e", of_expected), verdicts("a", of_answer)
        script += [nli("e", of_expected), nli("a", of_answer)]
    outputs["correct"] = verdicts("a", correct)
    metric = NoiseSensitivity(mode=mode, nli_statements_prompt=Scripted(script + [nli("a", correct)]),
                              statement_generator_prompt=Scripted([StatementGeneratorOutput(**statements("e", wanted)),
                                                                   StatementGeneratorOutput(**statements("a", said))]))
    return {"contexts": mode}, outputs, score(metric, contexts)


def main():
    made = []
    for case in [faithfulness, answer_relevancy, context_precision, context_recall, factual_correctness, answer_correctness,
                 semantic_similarity, noise_sensitivity]:
        for _ in range(25):
            settings, outputs, expected = case()
            made.append({"spec": {"metric": case.__name__} | settings, "outputs": outputs, "score": expected})
    print("[" + ",\n".join(json.dumps(one, separators=(",", ":")) for one in made) + "]")


main()
