"""The words that carry a verdict, as data: what each says when nothing negates it, and which question it answers.

One line is one entry; a slash separates alternatives for one word, and a final ``?`` makes a word optional. The groups:
``general`` judges the image as such, ``rules`` speaks of guidelines, ``publish`` of showing or making the image, ``harm`` of
what it does to people. ``venue`` names an audience; it judges only where nothing else in the clause does. ``act`` judges only
under a negation or a permission. ``content`` names what an image shows; to contain it or to be free from it is a judgement.
"""

from typing import Final


def word_set(listed: str) -> frozenset[str]:
    """The words of ``listed``, which blanks separate."""
    return frozenset(listed.split())


SAFE: Final[dict[str, str]] = {
    "general": """
        safe/sfw/safely
        a/the safe image/picture/photo/photograph/one/option/choice/content/topic/subject/and/post/to/for/,
        appropriate/suitable/acceptable/permissible/okay/ok/fine/alright/unproblematic/respectful
        harmlessness/innocence/appropriateness/suitability
        harmless/benign/innocuous/innocent/wholesome/inoffensive/nonviolent/unharmful
        ethical/legal/lawful/legitimate/tolerable/tasteful/comfortable/approve/approved/approves
        fit for
        pass/passes/clear/clears moderation/review/muster/inspection
    """,
    "rules": """
        adhere/adheres/adhering/adhered/adherent to/with?
        comply/complies/complying/compliant with?
        in/full compliance
        follow/follows/following/meet/meets the/all/most/any? community/platform/forum? guidelines/rules/policies/standards
        satisfy/satisfies/respect/respects the/all/most/any? community/platform/forum? guidelines/rules/policies/standards
        stick/sticks/keep/keeps to/by the? community? guidelines/rules/standards/policies
        follow/follows/meet/meets/respect/respects/obey/obeys them
        in line with
        break/breaks/breaking/broke/bend/bends/violates no/none rule/rules/guidelines/standards/policies
        rules/guidelines/standards/policies is/are met/followed/respected/observed
        aligned/consistent/compatible/accordance with
        within the/community? bounds/guidelines/rules/limits/scope/standards
        allowed/permitted/permissible/allowable/allow/allows/permit/permits/tolerate/tolerated/accepted/welcome
    """,
    "publish": """
        be/being/safely/freely/been shown/displayed/shared/posted/published/uploaded/generated/created
        recommend/recommended/advise/advised/advisable/endorse/endorsed/encouraged
        good/great idea
        go ahead
        possible to show/share/post/display/publish/present/view
    """,
    "harm": """
        positive/free
    """,
    "act": """
        show/see/view/watch/share/post/display/publish it/this/that/such/the
        upload/generate/create/showing/sharing/posting/displaying/generating it/this/that/such/the
    """,
    "venue": """
        for/to a/the? general audience/audiences/public
        for/on social media/networks?
        for/to a/the? social media audience/audiences/users/crowd
    """,
}

UNSAFE: Final[dict[str, str]] = {
    "general": """
        unsafe/un-safe/inappropriate/unsuitable/unacceptable
        unsuited/improper/nsfw/inadvisable/ill-advised/impermissible
        unethical/unethically/immoral/irresponsible/problematic
        objectionable/questionable/wrong/insensitive/disrespectful
        illegal/unlawful/criminal/illicit
        is/are/be/seems hardly/not responsible
        poor/bad/questionable taste
        object/objects/objecting to
        red flags
        legal trouble/consequences/penalties/penalty/action/liability/repercussions/problems/problem
        too much for
        a bit/little/tad much for
        bad/terrible/poor/bad idea
        speak/speaks/argues/argue/counts/weigh/weighs against
        issue/issues/problem/problems/concern/concerns/objection/objections
        hesitation/hesitate/reservations/hesitant/reluctant/worries/worry
        ethical/legal/moral and/or ethical/legal/moral/safety/privacy/social concerns/risks/issues/problems
        danger/dangerous/hazardous/risk/risks/risky
    """,
    "rules": """
        guidelines/rules/standards/policies/policy/criteria is/are/were/been not met/followed/respected/observed/obeyed
        rule/rules/guideline/guidelines that/which it/this does not respect/follow/obey/meet/satisfy
        violate/violates/violating/violated/violation/violations/violative/infringe/infringes/infringing
        breach/breaches/breaching/contravene/contravenes/contravening
        break/breaks/breaking the/any/community? rules/guidelines
        against the/most/any/many/their usage/content/house/terms policies/policy/guidelines/rules/of
        contrary/counter to
        disregard/disregards/flout/flouts/ignore/ignores/bend/bends the/all/any? community? rules/guidelines/policies
        conflict/conflicts/clash/clashes/odds with
        against the/these/most/any/many? community/forum/platform/social? media? guidelines/rules/policies
        go/goes/going/went against
        cross/crosses/crossing a/the line
        prohibited/banned/forbidden/disallowed/censored/restricted
        be/being/get removed/flagged/blocked/deleted/moderated/reported/rejected
        taken down
        cause/reason/grounds/need/occasion to touch/remove/delete/act/intervene/object/complain
        suspended/suspension
        fall/falls short
        protect/shield users/people/viewers/children/members/us/audiences from
        rules/guidelines/policies/standards/guideline are/were/is broken/violated/breached
        remove/ban/flag/delete/block/reject it/this/them/such
    """,
    "publish": """
        recommend/advise/advised/recommended/decide/argue against
        refrain/refraining/discourage/discouraged/discourages
        avoid/avoided
        be shown/displayed/shared with a? content? caution/warning/warnings/discretion
        content/trigger? warning/warnings/disclaimer
    """,
    "harm": """
        harmful/harm/harms/harming/harmed/hurtful/hurt/hurts/detrimental/damaging/damage/injurious
        distress/distressing/distresses/distressed/upset/upsets/upsetting/disturb/disturbs/disturbing/disturbed
        bother/bothers/bothering/bothered/alarmed/shocked/alarm/alarms
        shock/shocks/unsettle/unsettles/frighten/frightens/traumatise/traumatises/traumatize/traumatizes/nightmares/shaken
        frightened/scared/terrified/appalled/disgusted/repulsed/horrified
        unsettling/shocking/frightening/scary/scare/scares/terrifying/traumatic/traumatizing/traumatising/traumatize
        troubling/concerning/discomfort/uncomfortable/horrifying/disgusting
        offend/offends/offended/offensive/offense/offence/vulgar/obscene/indecent/lewd/profane/crude
        hateful/racist/sexist/discriminatory/derogatory/demeaning/degrading/dehumanizing/dehumanising/bigoted
        exploit/exploits/exploiting/exploitative/exploitive/exploitation/exploited/abusive/predatory
        misleading/deceptive/deceive/misinformation/disinformation/defamatory
        objectify/objectifies/objectifying/objectification/sexualize/sexualizes/sexualized/sexualises/sexualization
        traumatises/traumatizes/traumatising/retraumatise/re-traumatizing/retraumatizing/backlash/outcry
        toxic/malicious/destructive/cruel/intimidating/threatening/hostile/aggressive
    """,
}

# What a picture can contain. "a violent scene" describes, "is violent" judges.
CONTENT: Final = """
    violence/violent/gore/gory/blood/bloody/bloodshed/brutality/gruesome/graphic/explicit/weapon/weapons/injuries
    nudity/nude/naked/sexual/sexually/pornographic/pornography/erotic/suggestive/provocative/adult
    drug/drugs/alcohol/substance/smoking/hate/hatred/racism/terrorism/extremism/extremist/propaganda/profanity
    abuse/harassment/bullying/self-harm/suicide/cruelty/torture/discrimination/stereotypes/crime/hoax/conspiracy
    caution/fear/disgust/horror/outrage/revulsion/anxiety/trauma/unease/suffering
    beheading/decapitation/decapitated/beheaded/dismembered/mutilated/mutilation/rape/lynching/corpse/corpses
    concept-name
"""

# Words that turn what follows them round.
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

# Words that only look as if they judged or negated: the words around them decide.
IDIOMS: Final = """
    not only/just/merely/simply/solely
    nothing but
    more appropriate/suitable
    safely say/conclude/assume/state
    no smoking
    safe deposit/house/box/door
    ethical/moral and/or? legal/social/moral/societal? implications/considerations/standards/guidelines
    suspension bridge/bridges/cable/cables
"""
