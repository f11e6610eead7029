"""Ordinary words a slip of the pen away from a word of the lexicon or of a concept's name, which no spelling may repair.

Words of WordNet 3.0 that are tagged in its concordance, and their regular inflections, as far as they lie within the reach of
``spelling``; and some that were added by hand.
"""

from typing import Final

from harness_ext.judges.rules.words import word_set

LOOKALIKES: Final = word_set(
    """
    abasement abhorred abhorring abort absolute absolutes accent accented accenting accents acceptance accessing
    accident accidental accosting activates adapt adept admirable admits adopt advice affect affects affirmation
    aggressively aggressor ague aide aides aiding alert alien aliened aliening aliens alight allocable allocates
    allot allots allowance along amass amazement amuse ancients animals animate appallingly appeal appealing appeals
    applying appreciable appreciative appropriately argon arise arised arises arising arming aside asides assent
    assure atrociously attack averse back banal banded banged banked baring barley basely bathed bather bathing
    battering battled battling batwing beach beached beaches beaching beak beard beater befitted befitting beings
    belching bellying benching benter bester bettering betting bing binned bitted bitter bittering bitting black
    blacked blackest blacks blank blatted blatting bleach bleached bleak blind bloc bloke blond blooded bloodied
    bloom boar bonds bordering boring bracing brad brake branching breasting breath breathed breathes breathing
    breathings breeches brig broaden broadest brooder brother brothers bulling burglar burnings burring burying
    butted butter butting caches caching calculated calibrate calibrates calibrating camply cannon capitalism
    capitalisms capitalist capitalists caption carton cased cases casting catting caules celebrant celebration
    celebrations celebrity cerebrate certain certainty chafe chancel change charm charming charms cheated chid chill
    chose circuited clam clan clashes clashing clause clauses cleanly cleat clocks clone closet clove clover cloze
    clucks coarse coder coexistent cold combats comer comforting communing communion communism communist communistly
    communists communize companied companying comparable comparing compeling compelling competing compiles compiling
    complaisance complete completed completedly completes completing complexly compliment composing computing
    concealing conceding conceiving concert concertina concerting concertini concerts concreting concuring
    concurring condemning confederacy confirm confirmed confirming confirms conformity consent conserving
    considerate consisted consistence consistency consistently consisting consumptive contend contents contest
    contests controversies convent conversing converting copying coupling covet cower crashes crashing crate creaked
    crease creased credits cremate crested cries crises crops crossest crows cruelly curbed cured curled curved
    cuttings dagger dancer dangerously dead deaths decade deceit deceiving deceptively deciding declaring decode
    dedicating dedications deducting deductions deepening defeating defecting defective defending defends defining
    definite demitting departing dependent depleted depth deride descending descent desirable despise destining
    destruction destructively detecting detections detective detriment deviations difficultly discourse
    discriminating discriminative discussed discussing disguised dismaying disorder disordered disorderly displace
    displaced displaces displacing displays displeased disputed disputing disrupted disrupting distorted distorting
    distributor districted disturbedly disturbingly drawl drawn dream dregs drums ears earths earthy easing eligible
    emotion emotionally emotions encountered encouragingly endangered enjoys environmental erecting ethic ethnics
    exaggerating exasperated exasperation exceeding except excited excusing exhortation exited exotic expanse expect
    explained explaining expletive exploded exploration explored exploring explosive exported exporting exposures
    expressing expressive extremes extremity extremum fabled fagged fairing fairs falled fallow falter faltered
    faltering falters fame fare faster federals feels felling fellow fellows fells festering fiends fighters figured
    figures filing filling fills fined fingering firmed fitter fixed flailing flame flaps flash flats flaws fleshy
    float floats flogged flour flowing flown flush foamily foiled foiling foils fold followingly food fool footer
    forbad forbiddenly forbidding fordid forgottenly form forms forth fostering frails frauds fresh freud fried
    frightenedly frighteningly fulling genera generaled generaling generality generation generations generative
    generator genial ghostly given givens glories glorying gong greet grimly grotesquely groups haired hammed
    hamming hams handed handfed handing harboring hardy hare harem harps hatched hated hatreds hatted hatting
    hazards hearth heath hesitating hideout hinting hiring hoots horrifyingly horse humane humans hunted hunts hurls
    huts ideas illegible illuminate illuminated illuminates illuminating illumination illustrating illustration
    imaging imagoes immortal impart imparts impassable imprecations inaccuracy inaccurately inaugurate incense
    incise inconsistency inconsistently incorrectly increment indexed indolence indulging infection inference
    inflection influent injection insensitively inserting insertion insetting insisting insolence inspecting
    inspector insulating insulin insuring intimating intimidation intolerable invite invites inviting knifed knifes
    lacked landings lanes lapel leading leafing leaking leaning leaping lease leases leasing legitimacy legitimately
    lending lenes licked licking licks lifes likes linen links livelihood lively lives loaves looked looming looms
    looping loops looting loots lotting loving lowing lucid lucks lured mainer males manier mans manure marking
    masking mates mating meals meant median melting melts mens message messaged minima misleadingly misrelated
    mistaken mister mitigation moans modal moderate moderately moderating modulation molal monks morae moray morely
    mortal moslim moster motivation mustier mutation named neoer newer nightmarish normalest normals notching noting
    obvious ocher odder offed older orders pace packing pain pains paise palace palled palling pant parises parsed
    parses parsing parting passest pastes pasting pasts paused pauses pays pbses peace pecking perfected permeated
    permissive perpetrate perpetual perpetuation perpetuity persisted phonograph photographic photon pickling pills
    pinking plane plans planting plate plating platting playing pleaded poets poises poising poles polished polled
    polling polls popes pops pores ported portest porting ports posed posses pots potted potting powder powers
    praying prefixing presence presences presenting presently preserved preset press pretended pretending prevented
    prevention preventions preventive pricking primacy prise prods product proer proest profanely profiled profiling
    profundity projected prologing promotion promotions prompting proner pronest proofing propel proposing pros
    prose prosecuted prospected prosper protector protested proto providing provocation provoking prying ptoses
    pulley pulsed pulsing punished purled purling purls quiet quit quote raciest radial raided raiding railed
    railing rained raining rally rape rapist rate ratted reactant reacting reader rearly recursion recursive redder
    reflecting refute regaining regains rejection rejections reluctantly remaining remote remotes renter repeating
    repelled repelling repotted repugnance repulsion resentful resenting reserved reserves resetting resorted
    respecting restraining resultant retaining retains retirements retorted retraining reuse reused reuses reusing
    reversion reverting revetting revision ridiculous rise rised rising robber robbers roles romanticism romantics
    rubbery ruining sacred sage saint sake samely samer sand sane saner save saver saves saying says scale scaled
    scales scarce scarf scaring scarves scene scents scored scores screaming secondi seeks seep seeps seer sees
    seething sensitively sensitize serialization serialize serialized serializes sexiest shade shading shakes
    shaking shaming shape shaping shard shark sharp shave shaven shaving shawn sheared shearing shedder sheep sheer
    sheering shewn shied shiftings shimming ship shipped shirt shoes shoing shone shoot shooting shop shoppings
    shored shorting shot shots shotting shout shouting shoutings shoving showy shred shredding shrug sicking sides
    sighs simile since sings sins sipped sixes sizes skill skimming skulk skulls slackening slate sleek slick
    slimming slipped slope slops slowing slows slugging smite smoothing smote smuggest sneak sneer sneering snipped
    snort snowing snows snuggest snugging soaring socked socking somely sorely sort sowing sown sows spading sparing
    spark sparred sparse speaking spear spearing spears speck specks speeches speeding speedy speer spended spending
    spice spire spore sport spraying spreed squarest squated squirt stability stabs stack stacked stage staging
    staked stakes staking stale stalled standardly stank stares starred stars stating statue steak steel steeling
    steeping stems steps stink stoae stock stocked stocking stole stone stones stoops stores story stove stoves
    strand straying strays streaking streaming streets stroke strokes struggling stuck subspace sufferingly
    suggesting suggestion suing summering suspected suspendedly suspense suspenses swaying sways sweep swops tacking
    taked tales talking tanking tapes taping tasking taxes taxing teams teras terrific terrifiedly terrorist
    terrorize testified testifying thank thanking thanks theaters therefrom theretofore thick thicks thin thing
    things thinning thins thorough though thrash thread threads three throat throats thumps token tolerant tonally
    topi topical torrefied touch toxin traumata treaded treading treads trembling trigging tuned tuning tunned
    tunning tweed twine undeniable unit unload unloaded unpleasantly unpunished unstable unwire vibration viewier
    violet vocation volatile volition waded wades wafer waged wager wages waiter waived waives waked wakes wales
    walling walter waning wanned wanning warded warding wares warmed warming warped warred warring waste waster
    waxed waxes wearisome weaved weaves wedded weeped weight weights welling where while whine whit whited whiten
    whiter whites widen wifely wilder wine wisely wiser witch wives word wordy workspace world worlds wound wring
    write wrung yakked yankee
    """
)
