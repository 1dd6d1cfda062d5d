"""syntax: text to tree and back. Only this room uses lark.

One file does one thing, in this order:

    grammar   finds grammars/smr.lark, builds the parser        scan      text -> tokens and comments
    literals  numbers and strings that are wrong                brackets  which bracket closes which
    build     the rules -> nodes, with `parts` beside them      machine   the parser, to feed and to try out
    repair    the smallest change that mends a mistake          causes    what to say about it
    run       the parser on its way, mistake by mistake         parse     text -> tree
    doc       texts that may be broken into lines               values, show    tree -> text
    format    text -> canonical text, with its comments
"""
