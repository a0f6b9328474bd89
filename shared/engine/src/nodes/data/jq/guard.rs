//! Rewrites jq programs so that their work is counted and their values are measured: every call of a definition ticks, every
//! place that makes a value measures it. jq has no other loops than calls, `range` and folds over what these give.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::ops::Math;
use jaq_core::path::{Part, Path};

type T<'s> = Term<&'s str>;

/// A definition whose every call ticks.
pub(super) fn def<'s>(def: Def<&'s str>) -> Def<&'s str> {
    Def {
        body: pipe(call("__tick", Vec::new()), term(def.body)),
        ..def
    }
}

/// A program whose values are measured.
pub(super) fn term(from: T<'_>) -> T<'_> {
    match from {
        Term::Arr(Some(inner)) => measured(Term::Arr(Some(sub(inner)))),
        Term::Obj(pairs) if !pairs.is_empty() => {
            let pairs = pairs
                .into_iter()
                .map(|(key, value)| (term(key), value.map(term)));
            measured(Term::Obj(pairs.collect()))
        }
        Term::Str(format, parts) => string(format, parts),
        Term::Neg(inner) => Term::Neg(sub(inner)),
        Term::BinOp(left, op, right) => binary(term(*left), op, term(*right)),
        Term::Label(name, inner) => Term::Label(name, sub(inner)),
        Term::Fold(name, over, pattern, args) => Term::Fold(
            name,
            sub(over),
            self::pattern(pattern),
            args.into_iter().map(term).collect(),
        ),
        Term::TryCatch(inner, catch) => Term::TryCatch(sub(inner), catch.map(sub)),
        Term::IfThenElse(cases, other) => {
            let cases = cases
                .into_iter()
                .map(|(when, then)| (term(when), term(then)));
            Term::IfThenElse(cases.collect(), other.map(sub))
        }
        Term::Def(defs, inner) => Term::Def(defs.into_iter().map(def).collect(), sub(inner)),
        Term::Call(name, args) => call(name, args.into_iter().map(term).collect()),
        Term::Path(inner, Path(parts)) => {
            let parts = parts.into_iter().map(|(part, opt)| (self::part(part), opt));
            Term::Path(sub(inner), Path(parts.collect()))
        }
        plain => plain,
    }
}

fn sub(inner: Box<T<'_>>) -> Box<T<'_>> {
    Box::new(term(*inner))
}

fn part(part: Part<T<'_>>) -> Part<T<'_>> {
    match part {
        Part::Index(index) => Part::Index(term(index)),
        Part::Range(from, to) => Part::Range(from.map(term), to.map(term)),
    }
}

fn pattern(from: Pattern<&str>) -> Pattern<&str> {
    match from {
        Pattern::Var(name) => Pattern::Var(name),
        Pattern::Arr(items) => Pattern::Arr(items.into_iter().map(pattern).collect()),
        Pattern::Obj(pairs) => Pattern::Obj(
            pairs
                .into_iter()
                .map(|(key, inner)| (term(key), pattern(inner)))
                .collect(),
        ),
    }
}

fn string<'s>(format: Option<&'s str>, parts: Vec<StrPart<&'s str, T<'s>>>) -> T<'s> {
    let grows = parts.iter().any(|part| matches!(part, StrPart::Term(_)));
    let parts = parts.into_iter().map(|part| match part {
        StrPart::Term(inner) => StrPart::Term(term(inner)),
        plain => plain,
    });
    let string = Term::Str(format, parts.collect());
    if grows { measured(string) } else { string }
}

/// Sums, differences and products are measured before they are made. `l op= r` is `r as $x | l |= . op $x`, as jaq has it.
fn binary<'s>(left: T<'s>, op: BinaryOp<&'s str>, right: T<'s>) -> T<'s> {
    match op {
        BinaryOp::Math(math) => calculate(left, math, right),
        BinaryOp::UpdateMath(math) => {
            let update = calculate(Term::Id, math, Term::Var("$__x"));
            let update = measured(Term::BinOp(
                Box::new(left),
                BinaryOp::Update,
                Box::new(update),
            ));
            let bind = BinaryOp::Pipe(Some(Pattern::Var("$__x")));
            Term::BinOp(Box::new(right), bind, Box::new(update))
        }
        BinaryOp::Assign | BinaryOp::Update | BinaryOp::UpdateAlt => {
            measured(Term::BinOp(Box::new(left), op, Box::new(right)))
        }
        BinaryOp::Pipe(Some(bind)) => Term::BinOp(
            Box::new(left),
            BinaryOp::Pipe(Some(pattern(bind))),
            Box::new(right),
        ),
        op => Term::BinOp(Box::new(left), op, Box::new(right)),
    }
}

/// The right side comes first: its values are the outer loop.
fn calculate<'s>(left: T<'s>, math: Math, right: T<'s>) -> T<'s> {
    let name = match math {
        Math::Add => "__add",
        Math::Sub => "__sub",
        Math::Mul => "__mul",
        math => return Term::BinOp(Box::new(left), BinaryOp::Math(math), Box::new(right)),
    };
    call(name, vec![right, left])
}

fn measured(of: T<'_>) -> T<'_> {
    pipe(of, call("__measure", Vec::new()))
}

fn pipe<'s>(left: T<'s>, right: T<'s>) -> T<'s> {
    Term::BinOp(Box::new(left), BinaryOp::Pipe(None), Box::new(right))
}

fn call<'s>(name: &'s str, args: Vec<T<'s>>) -> T<'s> {
    Term::Call(name, args)
}
