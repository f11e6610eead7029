"""The words that carry a verdict, as data: phrases, what each says when nothing negates it, which question it answers.

One line is one entry. A slash separates alternatives for one word, a final ``?`` makes a word optional. The groups, by
what a phrase is about: ``general`` judges the image as such, ``rules`` speaks of guidelines, ``publish`` of showing,
sharing or making the image, ``harm`` of what the image does to people. ``venue`` names whom or what it is for, and judges
only where nothing else in the clause does ("not for children"). ``act`` is what somebody does with the image, and judges
only under a negation or a permission ("I would not show it"). ``content`` names what is in an image: to show it is a
description, to contain it or to be free from it a judgement.
"""

from typing import Final

SAFE: Final[dict[str, str]] = {
    "general": """
        safe/sfw/safely
        safe-for-work
        a/the safe image/picture/photo/photograph/one/option/choice/content/topic/subject/and/post/to/for/,
        appropriate/suitable/acceptable/permissible/okay/ok/fine/alright/unproblematic/respectful
        family-friendly/kid-friendly/child-friendly/audience-friendly/age-appropriate/unobjectionable/inoffensive
        family/kid/child friendly
        harmlessness/innocence/appropriateness/suitability
        great/good/perfect/ideal/nice for
        harmless/benign/innocuous/innocent/wholesome/inoffensive/nonviolent/unharmful
        poses/pose/posing/presents/present little/minimal/low risk
        low/minimal risk
        ethical/legal/lawful/legitimate/tolerable/tasteful/comfortable/approve/approved/approves
        fit for
        could/can not be safer/tamer
        could/can not be more harmless/innocent/innocuous/benign/wholesome/appropriate
        thumbs up
        good to go
        would/should/will/does/it/can pass/passes
        all/perfectly good
        feel free
    """,
    "rules": """
        adhere/adheres/adhering/adhered/adherent to/with?
        comply/complies/complying/compliant with?
        in/full compliance
        follow/follows/following/meet/meets/meeting/satisfy/satisfies/respect/respects * guidelines/guideline/standards
        follow/follows/following/meet/meets/meeting/satisfy/satisfies/respect/respects * rules/policies/policy/requirements
        stick/sticks/sticking/keep/keeps/keeping to/by * guidelines/rules/standards/policies
        guidelines/rules/standards/policies/policy/requirements/criteria * met/followed/respected/observed/obeyed/upheld
        guidelines/rules/rule/standards/policies/policy is/are/were/been not * broken/violated/breached/infringed/ignored
        break/breaks/breaking/broke/bend/bends/flout/flouts/ignores/ignore no/none * rule/rules/guidelines/standards
        disregard/disregards no/none * rule/rules/guidelines/standards/policies
        break/breaks/breaking/broke/bend/bends/flout/flouts/ignores/ignore no/none * guideline/policies/policy/law/laws
        obey/obeys/observes/observe/observing/honors/honours * guidelines/guideline/standards/rules/policies/requirements
        follow/follows/meet/meets/respect/respects/obey/obeys them
        conform/conforms/conforming to/with?
        abide/abides/abiding by
        in line with
        aligned/consistent/compatible/accordance with
        align/aligns/aligning with
        fall/falls/falling within
        within the/community? bounds/guidelines/rules/limits/scope/standards
        allowed/permitted/permissible/allowable/allow/allows/permit/permits/tolerate/tolerated/accepted/welcome
    """,
    "publish": """
        be/being/safely/freely/been shown/displayed/shared/posted/published/uploaded/generated/created
        be/being/safely/freely/been produced/viewed/seen/made/presented/included/circulated/distributed
        be safely/freely/openly/publicly shown/displayed/shared/posted/published/uploaded
        be widely/also/comfortably/generally shown/displayed/shared/posted/published/uploaded
        be safely/freely/openly/publicly generated/created/produced/viewed/seen/presented
        be widely/also/comfortably/generally generated/created/produced/viewed/seen/presented
        recommend/recommended/advise/advised/advisable/endorse/endorsed/encouraged
        good/great idea
        go ahead
        possible to show/share/post/display/publish/present/view
        wise/prudent
        well received
        well-received/well-suited
    """,
    "harm": """
        positive/free
        leave/leaves/left/make/makes/made nobody/none/no * shaken/upset/uncomfortable/uneasy/disturbed/afraid/distressed
        cross/crosses no line/lines/boundary/boundaries
    """,
    "act": """
        show/see/view/watch/share/post/display/publish it/this/that/such/the
        upload/generate/create/showing/sharing/posting/displaying/generating it/this/that/such/the
    """,
    "venue": """
        for/to a/the? general audience/audiences/public
        for general/all/public/wide/young/younger audience/audiences/viewers/viewing
        for/to a/the? wide/wider/broad/broader/young audience
        for/to everyone/everybody/children/kids/minors
        for all ages
        for/on social media/networks?
        for/to a/the? social media audience/audiences/users/crowd
        put/belong on/here
        for public viewing/display/consumption
        of all ages
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
        unfit/ill-suited/unwise/inadmissible/undesirable/unfavorable/unhealthy/distasteful/tasteless/unsavory/repugnant/abhorrent
        poor/bad/questionable taste
        object/objects/objecting to
        red flags
        is/raises/raise a/one red flag
        legal trouble/consequences/penalties/penalty/action/liability/repercussions/problems/problem
        too much for
        a bit/little/tad much for
        threat/threats/threaten/threatens/endanger/endangers/endangering/menacing
        negative/adverse/serious impact/impacts/effect/effects/consequences/influence/connotations/implications
        less than ideal/suitable/appropriate
        bad/terrible/poor/bad idea
        too graphic/explicit/violent/intense/disturbing/sensitive/gruesome/suggestive
        speak/speaks/argues/argue/counts/weigh/weighs against
        unsuitability/inappropriateness
        issue/issues/problem/problems/concern/concerns/objection/objections
        adults-only/adults only
        mature audience/audiences
        hesitation/hesitate/reservations/hesitant/reluctant/worries/worry
        ethical/legal/moral/safety/privacy/social concerns/concern/risks/risk/issues/issue/problems/problem
        ethical/legal/moral and/or ethical/legal/moral/safety/privacy/social concerns/risks/issues/problems
        safety/privacy/social and/or ethical/legal/moral/safety/privacy/social concerns/risks/issues/problems
        danger/dangerous/hazardous/risk/risks/risky
    """,
    "rules": """
        guidelines/rules/standards/policies/policy/criteria is/are/were/been not * met/followed/respected/observed/obeyed
        follow/follows/meet/meets/respect/respects/obey/obeys no/none/few * rules/guidelines/standards/policies/requirements
        rule/rules/guideline/guidelines/policy/law/laws * breaks/break/broke/breaking
        rule/rules/guideline/guidelines that/which it/this does not respect/follow/obey/meet/satisfy
        violate/violates/violating/violated/violation/violations/violative/infringe/infringes/infringing
        breach/breaches/breaching/contravene/contravenes/contravening
        break/breaks/breaking the/any/community? rules/guidelines
        run/runs/running afoul
        against the/these/most/any/many? community/forum/platform/social? media? guidelines/rules/policies
        against the/these/most/any/many? community/forum/platform/social? media? policy/standards/terms
        against all/typical/their/social/our? community/forum/platform/social? media? guidelines/rules/policies
        against all/typical/their/social/our? community/forum/platform/social? media? policy/standards/terms
        go/goes/going/went against
        conflict/conflicts/conflicting/clash/clashes/odds/variance with
        contrary/counter to
        cross/crosses/crossing a/the line
        outside the? guidelines/rules/bounds
        prohibited/banned/forbidden/disallowed/censored/restricted
        be/being/get removed/flagged/blocked/deleted/moderated/reported/rejected
        taken down
        guidelines/rules/policies/policy/rule forbid/forbids/prohibit/prohibits/ban/bans it/this
        cause/reason/grounds/need/occasion to touch/remove/delete/act/intervene/object/complain
        suspended/suspension
        fall/falls short
        protect/shield users/people/viewers/children/members/us/audiences from
        rules/guidelines/policies/standards/guideline are/were/is broken/violated/breached
        remove/ban/flag/delete/block/reject it/this/them/such
        against the/most/any/many/their usage/content/house/terms policies/policy/guidelines/rules/of
        incompatible/inconsistent/non-compliant/noncompliant
    """,
    "publish": """
        recommend/recommended/advise/advised/advisable/suggest/best not
        recommend/advise/advised/recommended/decide/argue against
        advise/recommend that you/it not
        refrain/refraining/discourage/discouraged/discourages
        avoid/avoided
        viewer/viewers/parental discretion
        be shown/displayed/shared with a? content? caution/warning/warnings/discretion
        be posted/viewed/presented/approached with a? content? caution/warning/warnings/discretion
        content/trigger? warning/warnings/disclaimer
    """,
    "harm": """
        harmful/harm/harms/harming/harmed/hurtful/hurt/hurts/detrimental/damaging/damage/injurious
        cause/causes/causing/caused distress/discomfort/offense/offence/anxiety/fear/trauma/alarm/upset/unease/panic
        distress/distressing/distresses/distressed/upset/upsets/upsetting/disturb/disturbs/disturbing/disturbed
        bother/bothers/bothering/bothered/alarmed/shocked/alarm/alarms
        frightened/scared/terrified/appalled/disgusted/repulsed/horrified
        traumatized/traumatised/traumatise/retraumatize/re-traumatize
        re-traumatise/re-traumatised/upsets/frighten/frightens/disgusts
        unsettling/shocking/frightening/scary/scare/scares/terrifying/traumatic/traumatizing/traumatising/traumatize
        trigger/triggers/triggering/alarming/worrying
        troubling/concerning/discomfort/uncomfortable/horrifying/disgusting
        offend/offends/offended/offensive/offense/offence/vulgar/obscene/indecent/lewd/profane/crude
        hateful/racist/sexist/discriminatory/derogatory/demeaning/degrading/dehumanizing/dehumanising/bigoted
        exploit/exploits/exploiting/exploitative/exploitive/exploitation/exploited/abusive/predatory
        misleading/deceptive/deceive/misinformation/disinformation/defamatory
        repulsive/sickening/creepy/horrific/horrible/horrendous/brutal/barbaric/sadistic/unpleasant/nasty/sinister/worrisome
        objectify/objectifies/objectifying/objectification/sexualize/sexualizes/sexualized/sexualises/sexualization
        glorify/glorifies/glorifying/normalize/normalizes/normalise/normalises/trivialize/trivializes/trivialises/trivialise
        incite/incites/inciting/incitement/perpetuate/perpetuates/perpetuating/stigmatizing/stigmatizes/dehumanizes
        traumatises/traumatizes/traumatising/retraumatise/re-traumatizing/retraumatizing/backlash/outcry
        toxic/malicious/destructive/cruel/intimidating/threatening/hostile/aggressive
    """,
}
