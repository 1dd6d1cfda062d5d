"""syntax: text to tree and back. Only here is lark used.

    scan      text -> tokens and comments            brackets  which bracket closes which
    parse     tokens -> tree, with every mistake     build     the tree's nodes, as the parser finds them
    recover   how to go on after a mistake           causes    what to say about it
    show      tree -> text                           format    text -> canonical text, with its comments
"""
