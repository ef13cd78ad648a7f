"""Plain facts behind the synthetic task of knowledge: one relation a table, `subject: answer`."""

from __future__ import annotations

from itertools import pairwise


def _pairs(text: str) -> dict[str, str]:
    parts = (" ".join(part.split()).split(": ") for part in text.split(","))
    return {part[0]: part[1] for part in parts}


def _words(text: str) -> list[str]:
    return text.split()


CAPITALS = _pairs("""
France: Paris, Germany: Berlin, Italy: Rome, Spain: Madrid, Portugal: Lisbon, Greece: Athens, Austria: Vienna,
Hungary: Budapest, Poland: Warsaw, Norway: Oslo, Sweden: Stockholm, Finland: Helsinki, Denmark: Copenhagen,
Iceland: Reykjavik, Ireland: Dublin, England: London, Scotland: Edinburgh, Belgium: Brussels, Russia: Moscow,
Ukraine: Kyiv, Romania: Bucharest, Bulgaria: Sofia, Serbia: Belgrade, Croatia: Zagreb, Turkey: Ankara,
Egypt: Cairo, Morocco: Rabat, Algeria: Algiers, Kenya: Nairobi, Ghana: Accra, Ethiopia: Addis Ababa,
Nigeria: Abuja, Senegal: Dakar, Uganda: Kampala, Angola: Luanda, China: Beijing, Japan: Tokyo,
South Korea: Seoul, India: New Delhi, Nepal: Kathmandu, Thailand: Bangkok, Vietnam: Hanoi, Iran: Tehran,
Iraq: Baghdad, Syria: Damascus, Lebanon: Beirut, Jordan: Amman, Saudi Arabia: Riyadh, Pakistan: Islamabad,
Afghanistan: Kabul, Bangladesh: Dhaka, Mongolia: Ulaanbaatar, Australia: Canberra, New Zealand: Wellington,
Canada: Ottawa, Mexico: Mexico City, Cuba: Havana, Jamaica: Kingston, Brazil: Brasilia, Argentina: Buenos
Aires, Chile: Santiago, Peru: Lima, Colombia: Bogota, Ecuador: Quito, Venezuela: Caracas, Uruguay: Montevideo,
Paraguay: Asuncion, Estonia: Tallinn, Latvia: Riga, Lithuania: Vilnius, Slovakia: Bratislava, Albania: Tirana,
Tunisia: Tunis, Libya: Tripoli, Sudan: Khartoum, Mali: Bamako, Zambia: Lusaka, Zimbabwe: Harare, Cyprus:
Nicosia
""")
CONTINENTS = {
    country: continent
    for continent, countries in {
        "Europe": """
            France Germany Italy Spain Portugal Greece Austria Hungary Poland Norway Sweden Finland
            Denmark Ireland Belgium Ukraine Romania Bulgaria Serbia Croatia Estonia Latvia Lithuania
            Slovakia Albania
        """,
        "Africa": """
            Egypt Morocco Algeria Kenya Ghana Ethiopia Nigeria Senegal Uganda Angola Tunisia Libya Sudan
            Mali Zambia Zimbabwe Namibia Botswana Rwanda Somalia Chad Niger
        """,
        "Asia": """
            China Japan India Nepal Thailand Vietnam Iran Iraq Syria Lebanon Jordan Pakistan Afghanistan
            Bangladesh Mongolia Malaysia Laos Cambodia
        """,
        "South America": """
            Brazil Argentina Chile Peru Colombia Ecuador Venezuela Uruguay Paraguay Bolivia
        """,
        "North America": """
            Canada Mexico Cuba Jamaica Haiti Guatemala
        """,
    }.items()
    for country in countries.split()
}
ELEMENTS = _pairs("""
hydrogen: H, helium: He, lithium: Li, beryllium: Be, boron: B, carbon: C, nitrogen: N, oxygen: O, fluorine: F,
neon: Ne, sodium: Na, magnesium: Mg, aluminum: Al, silicon: Si, phosphorus: P, sulfur: S, chlorine: Cl, argon:
Ar, potassium: K, calcium: Ca, titanium: Ti, chromium: Cr, manganese: Mn, iron: Fe, cobalt: Co, nickel: Ni,
copper: Cu, zinc: Zn, arsenic: As, bromine: Br, krypton: Kr, silver: Ag, tin: Sn, iodine: I, xenon: Xe,
barium: Ba, tungsten: W, platinum: Pt, gold: Au, mercury: Hg, lead: Pb, bismuth: Bi, radon: Rn, radium: Ra,
uranium: U
""")
OPPOSITES = _pairs("""
hot: cold, big: small, fast: slow, light: dark, wet: dry, old: young, rich: poor, strong: weak, high: low,
full: empty, open: closed, early: late, happy: sad, hard: soft, long: short, loud: quiet, clean: dirty, thick:
thin, deep: shallow, wide: narrow, up: down, left: right, day: night, black: white, love: hate, war: peace,
win: lose, buy: sell, push: pull, first: last, true: false, alive: dead, north: south, east: west, summer:
winter, male: female, inside: outside, above: below, before: after, always: never, heaven: hell, sweet: sour,
tall: short, cheap: expensive, brave: cowardly, sharp: blunt, smooth: rough, guilty: innocent, ancient:
modern, public: private
""")
YOUNG = _pairs("""
dog: puppy, cat: kitten, cow: calf, horse: foal, sheep: lamb, goat: kid, pig: piglet, bear: cub, lion: cub,
duck: duckling, goose: gosling, swan: cygnet, hen: chick, deer: fawn, kangaroo: joey, frog: tadpole, eagle:
eaglet, owl: owlet, elephant: calf, whale: calf, fox: cub, seal: pup
""")
PLURALS = _pairs("""
child: children, man: men, woman: women, mouse: mice, goose: geese, tooth: teeth, foot: feet, ox: oxen, leaf:
leaves, knife: knives, wife: wives, life: lives, wolf: wolves, half: halves, loaf: loaves, thief: thieves,
shelf: shelves, person: people, city: cities, baby: babies, story: stories, box: boxes, bus: buses, dish:
dishes, church: churches, tomato: tomatoes, potato: potatoes, hero: heroes, crisis: crises, sheep: sheep,
deer: deer, louse: lice
""")
PASTS = _pairs("""
go: went, see: saw, eat: ate, drink: drank, run: ran, swim: swam, sing: sang, write: wrote, speak: spoke,
break: broke, take: took, give: gave, come: came, know: knew, grow: grew, throw: threw, fly: flew, draw: drew,
buy: bought, bring: brought, think: thought, teach: taught, catch: caught, fight: fought, find: found, hold:
held, tell: told, sell: sold, keep: kept, sleep: slept, feel: felt, leave: left, lose: lost, build: built,
send: sent, spend: spent, stand: stood, make: made, hear: heard, begin: began, drive: drove, ride: rode, rise:
rose, choose: chose, freeze: froze, steal: stole, wear: wore, win: won, dig: dug, hide: hid, shake: shook,
fall: fell, forget: forgot
""")
SOUNDS = _pairs("""
dog: bark, cat: meow, cow: moo, sheep: bleat, pig: oink, horse: neigh, lion: roar, wolf: howl, duck: quack,
snake: hiss, owl: hoot, frog: croak, bee: buzz, donkey: bray, mouse: squeak
""")
MATERIALS = _pairs("""
bread: flour, wine: grapes, cheese: milk, butter: milk, paper: wood, glass: sand, cider: apples, raisins:
grapes, chocolate: cocoa, jeans: denim, tofu: soybeans, popcorn: corn, ketchup: tomatoes, candles: wax,
bricks: clay, tires: rubber, coins: metal, pickles: cucumbers, prunes: plums, hummus: chickpeas
""")
LANGUAGES = _pairs("""
France: French, Germany: German, Italy: Italian, Spain: Spanish, Portugal: Portuguese, Greece: Greek,
Hungary: Hungarian, Poland: Polish, Norway: Norwegian, Sweden: Swedish, Denmark: Danish, Iceland: Icelandic,
England: English, Russia: Russian, Bulgaria: Bulgarian, Turkey: Turkish, Egypt: Arabic, Japan: Japanese,
Thailand: Thai, Vietnam: Vietnamese, Brazil: Portuguese, Mexico: Spanish, Argentina: Spanish, Australia:
English, Austria: German, Cuba: Spanish, Chile: Spanish, Peru: Spanish, Iraq: Arabic, Syria: Arabic
""")
JOBS = _pairs("""
bread: baker, meat: butcher, shoes: cobbler, suits: tailor, music: composer, paintings: painter, statues:
sculptor, novels: novelist, poems: poet, maps: cartographer, furniture: carpenter, pots: potter, buildings:
architect, plays: playwright, clocks: clockmaker, beer: brewer, crops: farmer, photographs: photographer
""")
MONTHS = _words("January February March April May June July August September October November December")
DAYS = _words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
PLANETS = _words("Mercury Venus Earth Mars Jupiter Saturn Uranus Neptune")
LETTERS = [chr(ord("A") + i) for i in range(26)]
ORDINALS = _words(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third "
    "twenty-fourth twenty-fifth twenty-sixth"
)
TASTES = _words("sweet sour salty bitter umami")
SIDES = _pairs("""
triangle: three, square: four, rectangle: four, pentagon: five, hexagon: six, heptagon: seven, octagon: eight,
nonagon: nine, decagon: ten
""")
LEGS = _pairs("""
dog: four, spider: eight, ant: six, hen: two, horse: four, beetle: six, scorpion: eight, ostrich: two, bee:
six, cow: four, fly: six, tick: eight, person: two, cat: four
""")
ROMAN = _pairs("""
one: I, two: II, three: III, four: IV, five: V, six: VI, seven: VII, eight: VIII, nine: IX, ten: X, eleven:
XI, twelve: XII, fifteen: XV, twenty: XX, fifty: L, one hundred: C, five hundred: D, one thousand: M
""")

TEMPLATES: tuple[tuple[dict[str, str], tuple[str, ...]], ...] = (
    (
        CAPITALS,
        (
            "The capital of {} is",
            "The capital city of {} is called",
            "The seat of government of {} is the city of",
        ),
    ),
    (CONTINENTS, ("{} is a country on the continent of", "On a map of the world, {} is found in")),
    (ELEMENTS, ("The chemical symbol of {} is", "In the periodic table, {} is written as")),
    (OPPOSITES, ("The opposite of {} is", "A word that means the contrary of {} is")),
    (YOUNG, ("A young {} is called a", "The baby of a {} is known as a")),
    (PLURALS, ("The plural of {} is", "One {}, two")),
    (PASTS, ("The past tense of {} is", "Today I {}. Yesterday I")),
    (SOUNDS, ("The sound that a {} makes is a", "When you hear a {}, what you hear is a")),
    (MATERIALS, ("The main thing needed to make {} is", "To make {}, you start with")),
    (
        LANGUAGES,
        ("The language that most people in {} speak is", "Someone who grew up in {} most likely speaks"),
    ),
    (JOBS, ("A person who makes {} is called a", "The word for a maker of {} is")),
    (dict(zip(ORDINALS, MONTHS, strict=False)), ("The {} month of the year is",)),
    (dict(zip(MONTHS, MONTHS[1:] + MONTHS[:1], strict=True)), ("The month after {} is", "{} is followed by")),
    (dict(zip(MONTHS[1:] + MONTHS[:1], MONTHS, strict=True)), ("The month before {} is",)),
    (
        dict(zip(DAYS, DAYS[1:] + DAYS[:1], strict=True)),
        ("The day after {} is", "If today is {}, tomorrow is"),
    ),
    (
        dict(zip(DAYS[1:] + DAYS[:1], DAYS, strict=True)),
        ("The day before {} is", "If today is {}, yesterday was"),
    ),
    (dict(zip(ORDINALS, PLANETS, strict=False)), ("Counted from the sun, the {} planet is",)),
    (dict(zip(ORDINALS, LETTERS, strict=True)), ("The {} letter of the alphabet is",)),
    (dict(pairwise(LETTERS)), ("In the alphabet, the letter {} is followed by",)),
    (dict(zip(LETTERS[1:], LETTERS, strict=False)), ("In the alphabet, the letter {} comes right after",)),
    (
        dict(zip(ORDINALS, TASTES, strict=False)),
        ("Of the tastes sweet, sour, salty, bitter and umami, the {} is",),
    ),
    (SIDES, ("The number of sides of a {} is", "The number of corners of a {} is")),
    (LEGS, ("The number of legs of a {} is",)),
    (ROMAN, ("The number {} in Roman numerals is", "The Romans wrote {} as")),
)
"""Relations and the sentences that state them; `{}` is the subject, and the answer follows."""


def sentence(template: str, subject: str) -> str:
    """The template about a subject, with the article that it takes."""
    article = "an" if subject[0] in "aeiou" else "a"
    return template.replace("a {}", f"{article} {{}}").format(subject)
