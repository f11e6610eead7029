"""Ordinary words a slip of the pen away from a word of the lexicon or of a concept's name, which no spelling may repair.

Words of WordNet 3.0 that are tagged in its concordance, and their regular inflections, as far as they lie within the reach of
``spelling``; and some that were added by hand.
"""

from typing import Final

from harness_ext.judges.rules.words import word_set

LOOKALIKES: Final = word_set(
    """
    abasement abhorred abhorring abort absolutes accent accented accenting accents acceptance accessing accidental
    accosting activates adapt adept admirable admits adopt advice advises advocated affect affects affirmation
    aggressor agrees ague aide aides aiding alert alien aliened aliening aliens alight allocable allocates allot
    allots allowance alone amass amazement amuse ancients angerred appeal appealing appeals applying appreciable
    appreciative approaches argon argued arise arised arises arising arming aside asides assent assure averse back
    banal banded banged banked banner baring barley basely bated bathed bather bathing battering battled battling
    batwing beach beached beaches beaching beak beard beater befitted befitting behaving beholding beings belching
    bellying benching benter bester bettering betting bing binned bitted bitter bittering bitting black blacked
    blackest blacks blank blatted blatting bleach bleached bleak blind bloc bloke blond blooded bloodied bloods
    bloom bonds bordering boring bracing brad brake branching breasting breath breathed breathes breathing
    breathings breeches breezed brig broaden broadest broker brooder brother brothers bulling burring burying butted
    butter butting caches caching calculated calibrate calibrates calibrating camply cannon capitalism capitalisms
    capitalist capitalists capitalize capitalized caption carton cased cases cashed casting catting caules celebrant
    celebrated celebration celebrations celebrity cerebrate certainty chafe chancel change charm charming charms
    cheated cheating chid chill chose circuited circulates clam clan clashes clashing clause clauses cleanly cleans
    cleat clocks clone closet clove clover cloze clucks coarse coder coexistent cold comer comforting communing
    communion communism communist communistly communists communize companied companying comparable comparing
    compatibly compeling compelling competing compiles compiling complaisance completed completedly completes
    completing complexly complied compliment composing computing concealing conceding conceiving concert concertina
    concerting concertini concerts concreting concuring concurring condemning confederacy confirm confirmed
    confirming confirms conformity consent conserving considerate considers consisted consistence consistency
    consisting consumptive contend contents contest contests controversies convent conversing converting copying
    corps count county coupling coursed courts covet cower crashes crashing crate creaked creaking crease creased
    creates creeps cremate crested cresting cries crises crops crossed crosser crossest crows cruelly curbed cured
    curled curse curses curved dagger dancer dangers dead decade deceiving deciding declaring decode dedicating
    dedications deducting deductions deepening defeating defecting defective defending defends defining delegated
    delights delimited demitting departing dependent depleted deplorably depth deride descending deserved desirable
    despise destining destruction detecting detections detective detriment deviations disallows disclaimed disclaims
    discourse discriminating discriminative discriminators discussed discussing disguised dismaying disordered
    disorderly displace displaced displaces displacing displays displeased disputed disputing disregarded disrupted
    disrupting distorted distorting distributes distributor districted dodge draping drawl drawn dream dregs drums
    ears eased easing eastly eligible emotion emotions endangered entirety environmental erases erecting ethic
    exaggerates exaggerating exasperated exasperation exceeding except exceptional excited excluded excretion
    excusing execution exemption exertion exhortation exited exotic expanse expect explained explaining expletive
    exploded exploration explored exploring explosive exported exporting expressing expressive extremes extremity
    extremum fabled factory fagged fairing fairs falled fallow falter faltered faltering falters fame fare faster
    faulty feels felling fellow fellows fells festering fiends fighters filing filling fills finale fined fingering
    fires firmed fitter fixed flailing flame flaps flash flats flaws float floats flogged flour flowers flowing
    flown flush foamily foiled foiling foils fold followed food fool footer forbad forbidding fordid form forms
    forth fostering frails fresh freud fried fulling genera generaled generaling generality generals generates
    generation generations generative generator genial ghostly gived given givens giver glories glorified glorying
    gong greet grimly haired hammed hamming hams handed handfed handing handler handles harboring hardy hare harem
    harps hatched hated hatted hatting hazards hearth heath hesitating hideout hinting hiring hoots horribly horse
    hostily humane humiliations humility hunted hunts hurls huts ideas ignored illegible illuminate illuminated
    illuminates illuminating illumination illustrating imaged imaging imagoes immortal impart imparts impassable
    impersonal impossibly imprecations inaccuracy inaugurate incense incise incited includes inconsistency increment
    indexed indolence indulging infection inference inflection influent infringed injection injures innocents
    inserting insertion insetting insisting insolence inspecting inspector insulating insulin insuring intimate
    intimates intimating intimidation intolerable invite invites inviting issued issuer lacked lanes lapel leading
    leafing leaking leaning leaping lease leases leasing leaved legitimacy lending lenes licked licking licks lifes
    likes limites lined linen liner links littly livelihood lively lives loaves locker looked looming looms looping
    loops looting loots lotting loving lowing lucid lucks lunching lured mainer maker makers maks males manier
    manned mans manure marking masking mates mating matted mattes meals meant measured mediae melting melts mens
    messaged minima misled misread misrelated missed mister misuses mitigation moans mocker modal moderate
    moderately moderates moderating modulation molal monks morae morale moray morely mortal moslim moster motivated
    motivation mustier mutated mutation named neoer neves newer nightmarish normalest normalized normalizer normals
    notching noting observant observed observer observers ocher odder offed offender older opposes outrages pace
    packing pain paining pains paise palace palled palling pant panting parades parises parsed parses parsing
    parting passer passest pastes pasting pasts paused pauses pays pbses peace pecking perfected perfects permeated
    permissive permited perpetrate perpetual perpetuated perpetuation perpetuity persisted phonograph photographic
    photon pickling pictured pills pinking plane plans planting plate plating platting playing pleaded pleases poets
    poises poising poked poker poles police polices polished polishing polled polling polls popes pops pores ported
    portest porting ports posed posse posses poster pots potted potting powder praised praying prefixing presence
    presences presenter presenting presently preserved preset press pretended pretending prevented prevention
    preventions preventive pricking primacy prise probable procuring prodding prods producer produces product proer
    proest profanely profiled profiling profundity projected prologing promoted promoter promotion promotions
    prompting proner pronest proofing propel proposing pros prose prosecuted prospected prosper protector protects
    protested proto provider provides providing provocation provoking prying ptoses publisher publishers publishes
    pulley pulsed pulsing punching punished punishing purled purling purls questioned questioner quiet quit quits
    quote raciest radial raided raiding railed railing rained raining rally rapist rate ratted rattler rattles
    reactant reacting reader rearly receiver receives recommends recursion recursive redder reflecting refute
    regaining regains rejection rejections remaining remote remotes renders rending renewing renter reordering
    repeating repelled repelling reporter repotted repugnance repulse repulsion resentful resenting resetting resort
    resorted respecting responsible restraining restricts resultant retaining retains retirements retort retorted
    retraining reuse reused reuses reusing reversion reverting revetting revision ridiculous rise rised rising
    robbers roles romanticism romantics rubbery ruining ruled ruler rulers sacred safes sage saint sake samely samer
    sand sane saner satisfied save saver saves saying says scale scaled scales scarce scarf scaring scars scarves
    scents scored scores screaming secondi seeks seep seeps seer sees seething sensitize serialization serialize
    serialized serializes sexiest shade shades shading shake shaking shame shaming shammed shape shapes shaping
    shard sharer shark sharp sharps shave shaven shaves shaving shawn sheared shearing shedder sheep sheer sheering
    shewn shied shiftings shimming ship shipped shirt shoes shoing shone shoot shop shopped shoppings shored shores
    shorting shot shots shotting shout shouting shoutings shoving showy shred shredding shrug sicking sides sighs
    simile simple since sings sins sipped sits sixes sizes skill skimming skulk slackening slate sleek slick
    slimming slipped slope slopped slops slowing slows slugging smiled smite smokes smoothing smote smuggest sneak
    sneer sneering snipped snort snowing snows snuggest snugging soaring socked socking soils somely sopped sorely
    sort sowing sown sows spading sparing spark sparred sparse speaking spear spearing spears speck specks speeches
    speeding speedy speer spended spending spice spire spore sport spraying spreed squarer squarest squated squeaks
    squirt stability stabs stack stacked stage staging staked stakes staking stale stalled standardly stank starred
    stars stating statue steak steed steel steeling steeping stems stepped steps stereotyped stink stoae stock
    stocked stocking stole stomaches stone stones stooped stoops stores story stove stoves strand straying strays
    streaking streaming stroke strokes stropped struggling stuck subspace suggesting suggestion suing suitably
    summering suspected suspends suspense suspenses swaying sways sweep swopped swops tacking taked tales talking
    tanking tapes taping tars tasking taxes taxing teas terribly terrific terrorist terrorize terrors testified
    testifying thank thanking thanks theaters therefor therefrom theretofore thick thicks thin things thinning thins
    thong thorough though thrash thread threads threatened three throat throats thumps tiing toing token tolerant
    tolerates tonally topi topical torrefied touch toxin trailed trainer traumata treaded treading treads treat
    treaty trembling trigged trigging tuned tuning tunned tunning turner tweed twine tying unacceptably
    uncomfortably undeniable unit unload unloaded unpunished unstable unsuitably unwire vibration viewier violet
    vocation volatile volition waded wades wafer waged wager wages waiter waived waives waked wakes wales walling
    walter waning wanned wanning warded warding wares warmed warming warner warped warred warring waste waster
    wavers waxed waxes wearisome weaved weaves wedded weeped weight weights welling where while whine whit widen
    wifely wilder wine wisely wiser witch witching wives word wordy workspace world worried wound wring write wrung
    yakked yankee
    """
)
