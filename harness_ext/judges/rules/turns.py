"""What turns a statement round, what only looks as if it did, and what a picture contains, as data.

Same notation as in ``lexicon``.
"""

from typing import Final

# What a picture can contain. "sexual", "violent" and their like are here: "a violent scene" describes, "is violent" judges.
CONTENT: Final = """
    violence/violent/gore/gory/blood/bloody/bloodshed/brutality/gruesome/graphic/explicit/weapon/weapons/injuries
    nudity/nude/naked/sexual/sexually/pornographic/pornography/erotic/suggestive/provocative/adult
    drug/drugs/alcohol/substance/smoking/hate/hatred/racism/terrorism/extremism/extremist/propaganda/profanity
    abuse/harassment/bullying/self-harm/suicide/cruelty/torture/discrimination/stereotypes/crime/hoax/conspiracy
    caution/fear/disgust/horror/outrage/revulsion/anxiety/trauma/unease/suffering
    sensitive/controversial/mature/macabre/morbid/grotesque/cursed
    beheading/decapitation/decapitated/beheaded/dismembered/mutilated/mutilation/rape/lynching/corpse/corpses
    concept-name
"""

# Words that turn what follows them round. The last group lets its own complement be understood: "it is free of those".
NEGATORS: Final = """
    not/no/never/nothing/none/nobody/neither/nor/hardly/scarcely/barely/without/lack/lacks/lacking/absent/devoid
    no one
    absence of
    unlikely
    less likely/suitable/appropriate
    far/free-from/void from
    anything but
    rather/other than
    instead of
    as opposed to
    fail/fails/failing/failed to
    failure to
    stops/stop/prevents/prevent/keeps/keep/preventing it/this/the image? from being
    by no means
    in no way
    nowhere near
    less/than/doubts
    low/minimal/little likelihood/chance/potential
    very/has/have/with/of little/few/minimal
    doubt/doubtful
    nowhere/rarely/seldom
    few people/viewers/users/adults? would/will/could
    only a fool/prude/pedant would
    deny/denies/denied/dispute/disputes/disputed that
    is/are/find/see/found little/few
    refuse/hesitate to call/say/label/consider
    avoids/avoiding/avoid
    free/clear/devoid/void/clean from/of
    excludes/excluding/omits
    hard/hard-pressed/difficult/impossible/pressed to find/think/name/spot
    hard/difficult/impossible to argue/claim/call/consider/justify/imagine/see/describe
    wrong/incorrect/inaccurate/misleading/mistake to/that say/call/consider/describe/claim/label
    false/untrue/stretch/exaggeration/exaggerated/unfair to/that say/call/consider/describe/claim/label
"""

# Negative words that negate nothing: the words around them decide.
IDIOMS: Final = """
    not only/just/merely/simply/solely
    no doubt/question
    without a/any? doubt/question
    no matter
    no doubts
    more/less often than not
    other than that
    not to mention
    a little/few
    nothing but
    nothing short of
    safe/safer context/environment/space/search/manner/way
    appropriate/proper/suitable/safe measures/context/contexts/caution/precautions
    appropriate/proper/suitable/safe safeguards/guidance/warning/warnings/care/permissions
    more appropriate/suitable
    if appropriate
    be/been/being? viewed/seen/used/presented/shown/made as
    be/been/being viewed/seen/presented/shown by some/certain as
    be used responsibly/ethically/carefully
    be used/made/presented/viewed/handled with
    safety
    to be on the safe side
    better safe than sorry
    safely say/conclude/assume/state
    safe to say/assume/conclude
    warning sign/signs/label/labels
    good/better/best suited
    no smoking/parking/entry/trespassing/fishing/swimming sign/signs?
    no smoking
    safe deposit/house/box/door
    a/the/his/her/their/bank/open safe
    at risk
    alcohol/drug/smoke/smoking free
    ethical/moral and/or? legal/social/moral/societal? implications/considerations/standards/guidelines
    ethical/moral and/or? legal/social/moral/societal? questions/consequences/aspects/factors
    more than one/two/a/just
    suspension bridge/bridges/cable/cables
    fine art
    free speech/expression
    fine arts/print/line/lines/details
"""
