"""``unsafeconcepts train-judge``: a text classifier of labelled responses.

``rows`` reads them, ``split`` holds some out, ``start`` says what is trained and ``tiny`` makes one that begins from nothing,
``fit`` trains, ``measures`` and ``card`` say how good it is, and ``folder`` sees that what is written is whole.
"""
