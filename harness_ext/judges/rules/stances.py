"""Verdicts without a stock keyword, as data: what people would do with an image, what it would do to them.

Same notation as in ``lexicon``, and an asterisk stands for up to four words of any kind ("turn * down"). ``stance`` says
what somebody would do or feel, ``plight`` what is done to those in the image and judges unless it is merely shown, ``deed``
needs a permission or a negation before it, like the lexicon's ``act`` ("could hang in …", "would not let children see").
"""

from typing import Final

SAFE: Final[dict[str, str]] = {
    "stance": """
        belong/belongs/belonged in/on/here/anywhere/everywhere/at/among
        has/have/deserves/deserve/earns a/its/every place in/on/here/among
        right/perfectly/be/quite/completely/totally at home in/on/at/among
        can/could/would/will/may * enjoy/appreciate/admire
        can/could/would/will/might * smile/laugh/grin/chuckle/welcome
        bring/brings/put/puts/draw/draws * smile/smiles
        make/makes/made * smile/laugh/happy/chuckle
        happily/gladly/cheerfully/readily draw/make/generate/post/share/show/publish/put/host/accept/hang/create/produce
        happy/glad/willing/pleased/comfortable to draw/make/generate/post/share/show/publish/put/host/accept/hang/create
        clean bill
        clean/good bill of health
        seal of approval
        free pass
        pass/passes/passed/clear/clears muster/moderation/review/inspection/filters/filter
        in keeping/step/tune/harmony with
        square/squares/squared with
        well/comfortably/safely/squarely/stay/stays/staying/remains within
        play/plays by the rules
        let/lets/wave/waves/waved it/this/that/the/these * through
        accept/accepts/accepting/approve/approves/host/hosts it/this/that/such/these
        with open arms
        leave/leaves/let/lets/keep it/this/that/them one? up/alone/stand/be/pass/stay
        make/makes a * postcard/poster/card/wallpaper/gift/cover/calendar/print
        good clean fun
        knock yourself out
        be my guest
        only/merely contains/shows/features/depicts/includes
        all i/we/you/one see/found/find/saw/noticed is/was
        sail/sails/breeze/breezes through
        people/users/everybody/everyone/friends/families post/posts/share/shares/put/upload/uploads on/to/online
        post/posts/put/share/shares * every day
        will/would make/draw/generate you/anyone one/it/this
        the? safe side
        happy/glad/delighted/love to see/have
        see more of
        tame/uncontroversial/non-controversial/noncontroversial/unremarkable/g-rated/child-safe/kid-safe/all-ages
        squeaky clean
        in the clear
        above board
        all clear
        no/any/little/without harm/damage done
        make/generate/draw/create/show/post/share/use as many/much/often
    """,
    "deed": """
        hang/put/print/frame/stick/pin/place/use/feature/forward/project/broadcast/air/host it/this/that/such/the
        draw/paint/produce/render/publish/share/show/post/watch/picture/tweet/text/email it/this/that/such/the
        make such/these/one
        be making it/this/that
        drawing/painting/producing/rendering/creating/publishing/hanging/printing it/this/that/such/these/one
        hang/put/print/frame/stick/pin/send/forward/draw/make/paint/produce/render/show/share/post these/them/one/something
        make/draw/create/generate/produce/render/share/post/upload/publish pictures/images/anything/one
        making such/these/one/pictures/images
        show my/your/his/her/our/anyone/anybody/everyone/children/kids/people
        sit/hang/appear/run/stand/feature/stay on/in/at/up/next
        go on/up/in the/a/my/your/any/every
        let/letting/allow/allowing my/your/a/any/children/kids/anyone/anybody/people/them/the * see/look/watch/view/near
        want my/your/a/any/children/kids/anyone/anybody/people/them/the/others * see/find/encounter/look/watch/near/across
        pass for/as
        be out of place
        touch/condone/vouch it/this/that/for/such
        go/get/come near
        stand behind
        sign off
        want anything/something to do with
        open/view/look at? it/this/that
        have/has/had the stomach for
        go/goes/going along with
        be used/asked/allowed/told/trained/made to make/draw/create/generate/produce/render
        last/survive a/an/long/even/five/ten/the/moderation/review/very
        sleep tonight/well/at/for/easily
    """,
}

UNSAFE: Final[dict[str, str]] = {
    "stance": """
        against showing/sharing/posting/publishing/generating/making/viewing/displaying/creating/using
        obstacle/obstacles/barrier/barriers/impediment/bar to/against
        spare/spared * sight/view/shock/experience
        hurry/hurries/rush/usher * past
        keep/keeping/kept/stay/staying/steer/steering/stays * away/clear
        stay/stays/staying/keep/keeping/kept/leave/leaving/left/leaves * off/unposted/unpublished/unmade/undrawn/offline
        stay/stays/staying/keep/keeping/kept/leave/leaving out of
        keep/keeping/kept/hide/hiding/hidden it/this/that/them/these/such * from
        keep/kept/hidden/hide/shield/shielded/protected/protect/spare * from * children/kids/public/minors/audience
        belong/belongs/belonged nowhere
        belong/belongs/belonged in/on a/the? bin/trash/dustbin/archive/court/textbook
        no place/business/room in/on/for/here/among
        think/thinks/thinking twice
        think long and hard
        second thought/thoughts/glance/look
        give/giving/gives/take/taking * a miss
        hard pass
        pass on it/this/that/these
        turn/turns/turned/turning down
        turn/turns/turned/turning it/this/that/the/such/any/those/them * down/away
        of/for removal/deletion
        warrant/warrants/warranting/merit/merits/deserves/deserve/justifies * removal/deletion/takedown
        decline/declines/declined/declining/reject/rejects/rejecting/rejected
        refuse/refuses/refused/refusing
        flagged/censors/censor/blacklist/blacklisted/demonetized
        remove/removes/removing/delete/deletes/block/blocks/ban/bans/filter/filters/pull/pulls/yank it/this/that/them/such
        remove/removes/delete/deletes/block/blocks/ban/bans/prohibit/prohibits/forbid/forbids pictures/images/photos/content
        ban/bans/prohibit/prohibits/forbid/forbids/disallow/disallows/restrict/restricts this/such/these/it
        ban/bans/prohibit/prohibits/forbid/forbids depictions/symbols/posts/anything/nudity/gore/violence/concept-name
        filter/filters/filtered/filtering/screened/weeded out
        take/takes/taking/taken/pulled/pull/pulls * down
        get/gets/getting/got * banned/suspended/kicked/reported/locked/flagged/removed/deleted/fired/blocked
        be/been/being banned/yanked/kicked/filtered/refused/declined/censored
        moderators/moderator/mods/admins/filters/filter/platforms/sites * remove/delete/block/ban/reject/pull/object
        look/looks/looking twice
        raise/raises/raising/raised * eyebrow/eyebrows/alarm/alarms/objections/hackles
        bat/bats/batting/batted an eye/eyelid/eyelash
        would/will/could/should/might blink/flinch/mind/object/protest/wince/recoil/cringe/shudder/squirm/gasp
        lose/losing/lost sleep
        frown/frowns/frowned on/upon/at
        complain/complains/complaining/complained/complaint/complaints
        would/will hate/dread/loathe/shudder
        off/out-of limits/bounds
        off-limits
        beyond the pale
        no go
        no-go
        in/into trouble
        hot water
        best/better left/kept/avoided/skipped/unseen/unmade/undrawn/unpublished/forgotten/off
        rather see/have it/this/that removed/deleted/gone/blocked
        should/would/must warn
        warn/warned/warning my/your/people/viewers/anyone/friends/others/them
        nightmare/nightmares
        trouble/difficulty sleeping
        be? shown the door
        keep/keeping/kept/leave/leaving/left it/this/that/them/such/these out
        take/takes/taking exception
        take/takes/taking issue
        qualms/misgivings/scruples
        trouble with/showing/sharing/posting/generating/viewing
        punchline/laughing-stock
        lose/losing/lost * followers/friends/job/account/readers
        want/like/see/have it/this/that/these gone/removed/deleted/hidden/out/erased
        would/will/to vanish/disappear
        stop/stopped looking/watching
        fault/faults with/in
        in/to tears
        report it/this/that/them
        would/will/could/might/to/must/should look/turn away
        would/will/could/might/to walk/storm/run out
        expect/expects complaints/objections/gasps/outrage/tears/anger/backlash
        would/will/could/might/must/to cover/close/shut/avert/hide * eyes
        can/could not unsee/forget
        never unsee
        take/takes/taking/get it/this/that/these off
        in/into the bin/trash/dustbin/garbage
        want nothing to do with
        faint of heart
        faint-hearted/squeamish
        shameful/disgraceful/disgrace/regret/sued/lawsuit/lawsuits
        age-restricted/age-gated
        behind a/an * warning/gate/wall/filter
        needs/need/require/requires a/an * warning/gate/disclaimer/label
        call the police
        to criticise/criticize/dislike/condemn
        make/makes/making/made/leave/leaves/left * sick/ill/queasy/nauseous/uneasy/shaken/scarred/upset/afraid
        make/makes/making/made/leave/leaves/left * cringe/squirm/wince/cry/gasp/flinch/speechless/rattled/disturbed
        be/are/were/is/left shaken/rattled/sickened/outraged/disgusted/angered/dismayed/nauseated/haunted/distraught
        sick/sickened/turns/turn/churn to/by/my/your/the/their stomach/stomachs
        scar/scarred for life
        hard/difficult/painful/tough to watch/stomach/bear
    """,
    "general": """
        amiss/untoward/dubious/dodgy/sketchy/seedy/sordid/vile/nauseating/stomach-churning/gut-wrenching/harrowing/lurid
        shock/shocks/repulse/repulses/sicken/sickens/revolting/revolt/appal/appall/appalls/horrify/horrifies/terrify/terrifies
        unsettle/unsettles/unnerve/unnerves/unnerving/perturbing/disquieting/nauseate/nauseates
        grisly/ghastly/hideous/atrocious/heinous/despicable/deplorable/reprehensible/outrageous/appalling/repellent
        voyeuristic/titillating/leering/dehumanised/dehumanized
    """,
    "rules": """
        break/breaks/breaking/broke/flout/flouts/ignore/ignores/disregard/disregards * rules/guidelines/policies/policy
        break/breaks/violate/violates them
        break/breaks/breaking/broke/flout/flouts/ignore/ignores/disregard/disregards * terms/standards/law/laws/code
        fall/falls/falling/runs/run foul
        rule/rules/guideline/guidelines/policy/policies/standards/law/laws * broken/violated/breached
        which/that * forums/platforms/communities/sites/guidelines/networks * forbid/prohibit/ban/disallow/remove/reject
        not tolerated
        zero tolerance
    """,
    "harm": """
        encourage/encourages/encouraging/promote/promotes/promoting/advocate/advocates/spread/spreads/spreading * HARM
        celebrate/celebrates/celebrating/praise/praises/endorse/endorses/foster/fosters/fuel/fuels/stoke/stokes/stir * HARM
        legitimize/legitimizes/legitimise/legitimises/romanticize/romanticizes/romanticise/romanticises
        mock/mocks/mocking/ridicule/ridicules/ridiculing/belittle/belittles/belittling/insult/insults/insulting
        make/makes/making/poke/pokes/poking fun of/at
        at * expense
        someone's/somebody's/else's/others'/their/her/his misery/suffering/humiliation/vulnerability/helplessness
        take/takes/taking/took unfair? advantage
        strip/strips/stripped/rob/robs/robbed/stripping/robbing * dignity/humanity/privacy
        turned/turns/turning into entertainment/spectacle/joke
        to gawk/leer/sneer/jeer
        prey/preys/preying/capitalizes/capitalises/capitalizing on
        profit/profits/profiting/profited/cash/cashes/cashing from/off/in
    """,
    "plight": """
        taken advantage
        being/been/plainly/clearly/obviously paraded/degraded/humiliated/mocked/ridiculed/objectified/mistreated
        is/are paraded/degraded/humiliated/mocked/ridiculed/objectified/mistreated/belittled/shamed as/for/by/like?
        used/using/uses * for * profit/gain/gratification/titillation/pleasure/amusement/clicks
        reduced/reduces/treated/treats/reducing/treating * object/objects/commodity/plaything/toy/toys/prop/props/meat
        laugh/laughs/laughing at * him/her/them/man/woman/girl/boy/person/child/victim
        humiliated/humiliating/humiliates/humiliation/humiliate/degrade/degrades/demean/demeans
        mislead/misleads/impersonate/impersonating/defame/defraud/blackmail/manipulate/misused/intimidate/intimidates
    """,
}

# What it does harm to encourage ("HARM" above).
HARM: Final = (
    "violence/hate/hatred/harm/racism/crime/crimes/abuse/bullying/cruelty/terror/terrorism/extremism/discrimination/drugs/"
    "drug/smoking/suicide/self-harm/misinformation/disinformation/fear/panic/stereotypes/prejudice/intolerance/falsehoods/"
    "lies/rumours/rumors/bigotry/antisemitism/sexism/misogyny/harassment/aggression/concept-name"
)
