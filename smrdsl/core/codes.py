"""The codes of all diagnostics: a title, and the text that `smrdsl check --explain CODE` prints. Never renumbered.

01 text, 02 names, 03 arguments, 04 shapes, 05 edits, 06 files, 07 limits, 08 execution, 09 weights.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    title: str
    explanation: str


CODES: dict[str, Code] = {
    # 01 text
    "E0101": Code(
        "unexpected text",
        "The text does not fit the grammar here. The message says what was found and what may stand at this place.",
    ),
    "E0102": Code(
        "unexpected character",
        "A character that is no part of the language. White space separates steps; there are no semicolons. Names use\n"
        "the letters a-z, A-Z, digits and _.",
    ),
    "E0103": Code(
        "unclosed bracket",
        "A `{`, `(` or `[` has no partner. The message names the place where it was opened.",
    ),
    "E0104": Code(
        "reserved word",
        "The word belongs to the language and cannot be a name. Choose another name.",
    ),
    "E0105": Code(
        "empty block",
        "A block needs at least one step. Write `skip` for a step that does nothing.",
    ),
    "E0106": Code(
        "`|>` and arithmetic mixed",
        "`|>` and `+ - * /` do not mix without parentheses:\n\n    h := (it |> linear(8)) + x",
    ),
    "E0107": Code(
        "nested too deeply",
        "Brackets or operators are nested deeper than the limit. Move an inner part into a component or a `let`.",
    ),
    "E0108": Code(
        "bad string or number",
        "A string ends on the line on which it starts, and its escapes are those of JSON. A number is written `64`,\n"
        "`50_257`, `0.1` or `1e-3`.",
    ),
    # 02 names
    "E0201": Code(
        "unknown name",
        "Nothing in scope has this name, and a word is not allowed here. Components see their own parameters and the\n"
        "lets of their file, never the names of the caller.",
    ),
    "E0202": Code(
        "unknown operator or component",
        "No operator, component or import has this name. `smrdsl ops` lists the operators.",
    ),
    "E0203": Code(
        "name defined twice",
        "Parameters, lets, indices and taps share one namespace in a block, and a name is defined once in it.\n"
        "An inner block may use the name anew.",
    ),
    "E0204": Code(
        "label not allowed",
        "A label is unique in its path and is no operator's, family's or component's name, no Python keyword and no\n"
        "attribute of `torch.nn.Module`.",
    ),
    "E0205": Code(
        "body misplaced",
        "`body` stands in a component and is replaced by the block given where the component is used. A block that is\n"
        "given must be used, and one that is used must be given.",
    ),
    "E0206": Code(
        "statement misplaced",
        "This statement cannot stand here: `branch` stands directly in `parallel`, edits at the outermost level of a\n"
        "model, and a model that `extends` another holds edits and lets only.",
    ),
    "E0207": Code(
        "cycle",
        "Imports, components and models must not lead back to themselves. The message names the way round.",
    ),
    "E0208": Code(
        "not a stream",
        "A flow is made of `it`, taps, `flow |> op(...)`, operators over streams, and arithmetic on streams of equal\n"
        "shape. An operator in a flow needs its stream: write `it |> gelu`, not `gelu`.",
    ),
    "E0209": Code(
        "no such model",
        "The file has no model of that name, or no model at all (a library of components). `--model NAME` picks one.",
    ),
    # 03 arguments
    "E0301": Code(
        "unknown argument",
        "The operator or component has no argument of this name. `smrdsl ops NAME` shows its arguments.",
    ),
    "E0302": Code(
        "missing argument",
        "An argument without a default was not given.",
    ),
    "E0303": Code(
        "too many arguments",
        "More arguments were given than there are, or one was given twice, or a positional one follows a named one.",
    ),
    "E0304": Code(
        "wrong type",
        "The value has another type than the argument needs. `/` gives a real: write `//` where a whole number is\n"
        "needed.",
    ),
    "E0305": Code(
        "value out of range",
        "The value has the right type but not an allowed size. The message says what is allowed.",
    ),
    "E0306": Code(
        "not one of the words",
        "The argument takes one of a list of words, and this is none of them.",
    ),
    "E0307": Code(
        "arithmetic",
        "The expression divides by zero, overflows, or applies an operator to values that it is not defined on.",
    ),
    "E0308": Code(
        "requirement not met",
        "The author of the component or model wrote a `require` whose condition is false here.",
    ),
    "E0309": Code(
        "arguments do not fit together",
        "Each argument is allowed by itself, but not together with the others. The message says which.",
    ),
    # 04 shapes
    "E0401": Code(
        "wrong kind of stream",
        "The step needs another kind of stream than the one that reaches it: a sequence where there is a pooled\n"
        "vector, reals where there are tokens, or the other way round.",
    ),
    "E0402": Code(
        "widths do not fit",
        "The channels of the streams do not fit the step. The message says which widths were found.",
    ),
    "E0403": Code(
        "tie does not fit",
        "`tie` shares the weight of a labelled step in the same or an enclosing repeat, of the same shape.",
    ),
    "E0404": Code(
        "input misplaced",
        "A model starts with exactly one input, `signal` or `tokens`, at its outermost level.",
    ),
    "E0405": Code(
        "timed stream",
        "A core cannot mind the gaps between samples that the model takes (`timed=true`), or a step needs gaps in a\n"
        "model that takes none.",
    ),
    # 05 edits
    "E0501": Code(
        "selector matches nothing",
        "No operator, label, component or family in the model has this name. A misspelt selector would silently leave\n"
        "the model unedited, so it is an error.",
    ),
    "E0502": Code(
        "condition leaves nothing",
        "The selector matches, but the condition is false for everything that it matches, so the edit does nothing.",
    ),
    "E0503": Code(
        "cannot be edited",
        "An input, the target of a tie and an operator over several streams cannot be removed.",
    ),
    # 06 files
    "E0601": Code(
        "cannot read",
        "The file is missing, is a directory, may not be read, or is not UTF-8 text.",
    ),
    "E0602": Code(
        "cannot import",
        "An import names a `.smr` file relative to the importing file, or one of the library as `std/...`.",
    ),
    "E0603": Code(
        "imported name",
        "Two imports bring the same name, or the name is private (starts with `_`), or the file does not have it.",
    ),
    "E0604": Code(
        "cannot write",
        "The output cannot be written, or the folder is there and is not a package of ours.",
    ),
    # 07 limits
    "E0701": Code(
        "text too large",
        "A spec may have 1 MB of text. `--limit text=N` raises it.",
    ),
    "E0702": Code(
        "too many nodes",
        "A model may have 100,000 nodes after expansion. `--limit nodes=N` raises it.",
    ),
    "E0703": Code(
        "too many parameters",
        "A model may have 1e12 parameters. `--limit parameters=N` raises it. Nothing was allocated.",
    ),
    "E0704": Code(
        "expansion too deep",
        "Components, imports or models that extend one another are nested deeper than the limit, or one parameter\n"
        "needs another, and that another, too often in a row.",
    ),
    # 08 execution
    "E0801": Code(
        "no such strategy",
        "The operator cannot be executed in this way, or not exactly. The message says why and what it has.",
    ),
    # 09 weights
    "E0901": Code(
        "weights do not fit",
        "A tensor is missing, is not used, or has another shape than the model. The message names the key, the wanted\n"
        "and the found shape.",
    ),
}
