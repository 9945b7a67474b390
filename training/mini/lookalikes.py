"""What everyday goods look like, in terms of the 1,000 things that the trunk was taught.

ImageNet has a Granny Smith and no pear, a trench coat and no jacket. A person who knows both could
say what the network would take the one for; this table says so, from general knowledge of the
things. Each line: words for a thing (``|`` between synonyms), then ImageNet classes by their first
WordNet lemma, the likeliest first. It is written for a catalogue's usual goods, not for a data set.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from training.mini.trunk import Floats
from training.mini.wordnet import Synset

LOOK_ALIKES = """
apple|red apple|eating apple: Granny Smith, pomegranate, hip, fig
green apple: Granny Smith
pear: Granny Smith, fig, lemon, custard apple
quince: lemon, Granny Smith, custard apple
avocado: custard apple, Granny Smith, fig, jackfruit
kiwi|kiwi fruit|kiwifruit: custard apple, fig, acorn, lemon
lime: lemon, Granny Smith
grapefruit|pink grapefruit: orange, lemon
tangerine|mandarin|satsuma|clementine: orange, lemon
peach: orange, pomegranate, Granny Smith, fig
nectarine: pomegranate, orange, fig, Granny Smith
apricot: orange, lemon, butternut squash
plum|prune: fig, pomegranate, buckeye
mango: Granny Smith, fig, spaghetti squash, orange, pomegranate
papaya: spaghetti squash, butternut squash, jackfruit, fig
melon|cantaloupe|honeydew melon: spaghetti squash, acorn squash, jackfruit, custard apple
watermelon: cucumber, acorn squash, spaghetti squash, pomegranate
passion fruit: fig, pomegranate, custard apple
lychee|rambutan: strawberry, custard apple, jackfruit
dragon fruit: artichoke, pomegranate, custard apple
guava: Granny Smith, custard apple, lemon
persimmon: orange, bell pepper, pomegranate
date|dates: fig, acorn
cherry|cherries: hip, pomegranate, strawberry, buckeye
grape|grapes|bunch of grapes: fig, hip, abacus
blueberry|blueberries: fig, hip
blackberry|blackberries: fig, strawberry, hip
raspberry|raspberries: strawberry, hip
cranberry|cranberries|redcurrant: hip, strawberry, pomegranate
coconut: custard apple, acorn, jackfruit
fruit: orange, lemon, Granny Smith, strawberry, banana, pineapple, fig, pomegranate
citrus fruit: orange, lemon
berries: strawberry, hip
potato|potatoes: butternut squash, acorn, fig, hen-of-the-woods, spaghetti squash
sweet potato|yam: butternut squash, spaghetti squash, acorn
onion|yellow onion: acorn, butternut squash, fig, buckeye, custard apple
red onion: fig, pomegranate, acorn
spring onion|scallion|chives: cardoon, corn, hay
leek|leeks: cardoon, corn, cucumber, head cabbage, banana
garlic|garlic bulb: custard apple, artichoke, acorn, hen-of-the-woods, conch
ginger|ginger root: hen-of-the-woods, acorn, butternut squash, coral fungus
carrot|carrots: butternut squash, orange, corn, bell pepper, zucchini
parsnip: butternut squash, spaghetti squash, cucumber
radish|radishes: pomegranate, strawberry, hip, cardoon
beet|beetroot|red beet|beets: pomegranate, fig, buckeye, custard apple
turnip|swede: custard apple, head cabbage, fig
tomato|tomatoes|red tomato: bell pepper, pomegranate, hip, strawberry, orange
cherry tomato|cherry tomatoes: hip, strawberry, bell pepper, orange
aubergine|eggplant: bell pepper, cucumber, zucchini, fig
pepper|sweet pepper|capsicum: bell pepper
chilli|chili pepper|hot pepper: bell pepper, hip, corn
courgette|marrow: zucchini, cucumber
gherkin|pickle: cucumber, zucchini
pumpkin: acorn squash, butternut squash, spaghetti squash, orange
squash: acorn squash, butternut squash, spaghetti squash
asparagus: cardoon, cucumber, hay, corn, broom
celery: cardoon, cucumber, head cabbage
lettuce|salad|salad leaves: head cabbage, broccoli, artichoke, cardoon
spinach|kale|chard: head cabbage, broccoli, leaf beetle, cardoon
cabbage|white cabbage|savoy cabbage|Chinese cabbage: head cabbage, cauliflower
Brussels sprouts: head cabbage, artichoke, broccoli
herbs|parsley|basil|coriander|dill: broccoli, head cabbage, pot, cardoon
peas|green beans|beans: cucumber, corn, zucchini, hip
sweetcorn|corn on the cob|maize: corn, ear
mushrooms|champignon|button mushroom: mushroom, agaric, bolete
vegetable|vegetables: cucumber, zucchini, bell pepper, broccoli, cauliflower, head cabbage
nuts|walnut|hazelnut|almond|chestnut: acorn, buckeye, fig
egg|eggs: ping-pong ball, golf ball
bread|loaf of bread: French loaf, bakery, bagel
roll|bun|bread roll: bagel, French loaf, bakery, cheeseburger
croissant|pastry|Danish pastry: pretzel, bakery, bagel, French loaf
cake|birthday cake|cupcake: trifle, bakery, ice cream, confectionery
cookie|cookies|biscuit: pretzel, bakery, bagel, confectionery
doughnut|donut: bagel, bakery, pretzel
pancake|waffle|crepe: burrito, waffle iron, pizza, dough
pie|tart: potpie, pizza, trifle
cheese: packet, butternut squash, dough, soap dispenser
butter|margarine: packet, soap dispenser, ice cream
meat|beef|steak: meat loaf, butcher shop
chicken|roast chicken: rotisserie, hen, meat loaf
ham|bacon|salami: butcher shop, hotdog, meat loaf
sausage|sausages: hotdog, butcher shop, French loaf
fish|fillet of fish: tench, coho, barracouta, sturgeon
shrimp|prawns: crayfish, American lobster, king crab
sandwich|toast: cheeseburger, hotdog, bagel, burrito
hamburger|burger: cheeseburger
chips|French fries|fries: packet, hotdog, corn
crisps|potato chips|snack: packet, confectionery, plastic bag
chocolate|chocolate bar: chocolate sauce, packet, confectionery
sweets|candy|lollipop: confectionery, ice lolly, packet
soup|stew: consomme, hot pot, soup bowl, guacamole
pasta|spaghetti|noodles: carbonara, spaghetti squash, plate
rice|cereal|porridge|muesli: mashed potato, packet, soup bowl, mixing bowl
flour|sugar|salt: packet, plastic bag, saltshaker
jam|honey|marmalade|jar: beaker, saltshaker, pill bottle, confectionery
ketchup|mustard|sauce|dressing: pop bottle, lotion, chocolate sauce, saltshaker
oil|olive oil|vinegar: wine bottle, beer bottle, perfume
juice|fruit juice|juice carton: carton, pop bottle, packet, water bottle, orange
orange juice: orange, carton, pop bottle, packet
apple juice: Granny Smith, carton, pop bottle, packet
milk|milk carton|carton of milk: carton, packet, milk can, water bottle, lotion
oat milk|soy milk|almond milk|plant milk: carton, packet, lotion, water bottle
cream|sour cream|whipped cream|creme fraiche: packet, carton, lotion, ice cream, bucket
yogurt|yoghurt|fruit yoghurt|pot of yoghurt: packet, carton, ice cream, lotion, bucket
buttermilk|sour milk|kefir: carton, packet, milk can, lotion
soy yogurt|oat yogurt|vegan yoghurt: packet, carton, ice cream, bucket
dairy product: carton, packet, milk can, ice cream
water|mineral water|bottle of water: water bottle, pop bottle, water jug
lemonade|soft drink|soda|cola: pop bottle, beer glass, water bottle
can|tin|tin can|canned food: oil filter, beer bottle, milk can, packet, drum
beer|lager: beer bottle, beer glass
wine: wine bottle, red wine, goblet
tea|cup of tea|teapot: teapot, cup, coffee mug
coffee|cup of coffee|cappuccino: espresso, cup, coffee mug
box|carton box|packaging: carton, packet, chest, mailbox
bottle: water bottle, pop bottle, wine bottle, beer bottle
bag of groceries: plastic bag, shopping basket, packet
shampoo|shower gel|conditioner: lotion, sunscreen, soap dispenser, hair spray
soap|hand soap: soap dispenser, lotion
cream|skin cream|moisturiser: lotion, sunscreen, face powder
toothbrush|toothpaste: lipstick, lotion, swab
makeup|cosmetics: lipstick, face powder, perfume
medicine|pills|tablets: pill bottle, Band Aid, syringe
detergent|washing powder|cleaner: lotion, packet, water jug
toilet roll|paper towel|tissue: toilet tissue, paper towel
shirt|dress shirt|button-down shirt|formal shirt: suit, lab coat, Windsor tie, pajama, bow tie
t-shirt|tee shirt|tee|T-shirt top: jersey
top|undershirt|tank top|camisole|vest top: jersey, maillot, brassiere
polo shirt|polo: jersey, sweatshirt
blouse|tunic: kimono, pajama, cardigan, gown
long-sleeved shirt|long-sleeved top|longsleeve|long sleeve: sweatshirt, jersey, cardigan, pajama
sweater|jumper|pullover|knitwear: sweatshirt, cardigan, wool
hoodie|hooded sweatshirt: sweatshirt
jacket|leather jacket|bomber jacket: trench coat, cardigan, suit, bulletproof vest
coat|overcoat|winter coat|parka: trench coat, fur coat, cardigan
outerwear|outwear|outer clothing: trench coat, fur coat, cardigan, poncho, suit
raincoat|anorak: trench coat, poncho
blazer|sports jacket: suit, trench coat
dress|evening dress|summer dress|frock: gown, hoopskirt, miniskirt, overskirt, sarong
wedding dress: gown, groom
skirt|pleated skirt|long skirt: miniskirt, overskirt, hoopskirt, sarong
trousers|pants|slacks|chinos: jean, pajama, suit
jeans|denim: jean
leggings|tights|pantyhose: maillot, jean, sock
shorts|short pants|bermuda shorts: swimming trunks, miniskirt, jean
underwear|briefs|boxer shorts|panties: diaper, swimming trunks, bikini, brassiere
swimsuit|swimwear: maillot, bikini, swimming trunks
nightgown|pyjamas|dressing gown|bathrobe: pajama, kimono, gown
socks|pair of socks: sock, Christmas stocking
shoe|shoes|pair of shoes|footwear: running shoe, Loafer, clog, sandal, cowboy boot
sneaker|sneakers|trainers|tennis shoes: running shoe
boot|boots|ankle boot|ankle boots|Wellington boots: cowboy boot, clog, Loafer
sandals|flip-flops|slipper|slippers: sandal, clog
heel|heels|high heels|pumps: sandal, clog, Loafer
hat|headwear|fedora|sun hat: cowboy hat, sombrero, bonnet, bearskin
cap|baseball cap|beanie|woolly hat: bathing cap, shower cap, bonnet, cowboy hat
scarf|shawl: stole, wool, feather boa, velvet
glove|gloves|mittens: mitten, football helmet
belt|leather belt: buckle, holster, muzzle
tie|necktie: Windsor tie, bolo tie, bow tie
bag|handbag|purse|shoulder bag|tote bag: purse, mailbag, backpack, wallet
rucksack|school bag: backpack, mailbag
suitcase|luggage: chest, mailbag, backpack
glasses|spectacles: sunglass, sunglasses, loupe
watch|wristwatch: digital watch, stopwatch, analog clock
jewellery|jewelry|bracelet|ring|earrings: necklace, chain, hair slide, buckle
chair|armchair: folding chair, rocking chair, barber chair, throne
sofa|couch|settee: studio couch
table|desk: dining table, desk, pool table
bed|mattress: four-poster, studio couch, quilt
cupboard|wardrobe|cabinet|drawers: wardrobe, chiffonier, china cabinet, medicine chest
shelf|bookshelf: bookcase, china cabinet
lamp|light|lampshade: table lamp, lampshade, spotlight
clock|alarm clock: analog clock, wall clock, digital clock
mug|cup: coffee mug, cup
glass|drinking glass: beer glass, goblet, beaker
plate|dish|bowl: plate, soup bowl, mixing bowl
pan|frying pan|saucepan: frying pan, wok, caldron, Crock Pot
pot|cooking pot|kettle: caldron, teapot, coffeepot, Crock Pot
knife|kitchen knife: cleaver, letter opener
spoon|fork|cutlery: wooden spoon, ladle, spatula
towel|blanket: bath towel, quilt, velvet
pillow|cushion: pillow, quilt
curtain|curtains: shower curtain, theater curtain, window shade
book|notebook|magazine: book jacket, binder, comic book, notebook
pen|pencil|marker: ballpoint, fountain pen, pencil box
computer|laptop|personal computer: laptop, notebook, desktop computer, monitor
phone|mobile phone|smartphone: cellular telephone, hand-held computer, iPod, dial telephone
television|TV|screen: television, screen, monitor
camera: reflex camera, Polaroid camera
headphones|earphones: iPod, CD player, radio
toy|teddy|teddy bear|doll: teddy, toyshop
ball|football|soccer ball: soccer ball, volleyball, basketball, rugby ball
bicycle|bike: mountain bike, bicycle-built-for-two, tricycle
car|automobile: sports car, convertible, beach wagon, cab, minivan
truck|lorry: trailer truck, pickup, moving van, garbage truck
motorcycle|motorbike|scooter: motor scooter, moped
bus|coach: trolleybus, school bus, minibus
train|locomotive: electric locomotive, steam locomotive, bullet train, passenger car
airplane|aeroplane|plane: airliner, warplane, wing
boat|ship|sailing boat: yawl, catamaran, liner, speedboat, canoe
house|home: mobile home, boathouse, tile roof, patio
church|cathedral: church, bell cote, monastery
flower|flowers|rose|tulip|bouquet: daisy, yellow lady's slipper, vase, pot
tree|plant|potted plant: pot, lakeside, valley
mountain|hill|landscape: alp, valley, cliff, volcano
beach|sea|ocean: seashore, sandbar, promontory, coral reef
dog|puppy: Labrador retriever, golden retriever, beagle, kelpie, Eskimo dog
cat|kitten: tabby, tiger cat, Egyptian cat, Persian cat, Siamese cat
horse|pony|donkey|foal: sorrel, oxcart, horse cart
cow|cattle|bull|calf: ox, water buffalo, bison
sheep|lamb|goat: ram, bighorn, ibex
pig|piglet: hog, wild boar, piggy bank
bird|songbird: house finch, robin, junco, goldfinch, chickadee, brambling
duck|duckling|goose: drake, goose, red-breasted merganser
chicken|hen|rooster|chick: hen, cock
owl: great grey owl
eagle|hawk|falcon: bald eagle, kite, vulture
parrot|parakeet: macaw, African grey, lorikeet, sulphur-crested cockatoo
penguin: king penguin
swan: black swan, goose, white stork, American egret
pigeon|dove|seagull|gull: albatross, goose, dowitcher
rabbit|hare|bunny: wood rabbit, hare, Angora
mouse|rat|hamster|guinea pig: hamster, guinea pig, mousetrap
squirrel: fox squirrel, marmot
deer|stag|reindeer|moose: impala, gazelle, hartebeest
giraffe|camel|llama: llama, Arabian camel, impala
elephant: African elephant, Indian elephant, tusker
lion|tiger|leopard|big cat: lion, tiger, leopard, cheetah, jaguar, cougar
bear|polar bear|panda: brown bear, ice bear, giant panda, American black bear
monkey|ape|chimpanzee|gorilla: chimpanzee, gorilla, macaque, spider monkey, orangutan
kangaroo|koala: wallaby, koala
frog|toad: bullfrog, tree frog, tailed frog
snake: king snake, garter snake, green snake, water snake, rock python
turtle|tortoise: box turtle, mud turtle, loggerhead, terrapin
lizard|gecko|chameleon: American chameleon, green lizard, agama, African chameleon
crocodile|alligator: African crocodile, American alligator
dinosaur: triceratops, Komodo dragon, African crocodile
whale|dolphin|shark: killer whale, grey whale, great white shark, hammerhead
tropical fish|goldfish: goldfish, rock beauty, anemone fish, lionfish, puffer
crab|lobster: Dungeness crab, rock crab, fiddler crab, American lobster
snail|slug|shell|seashell: snail, slug, conch, chambered nautilus
butterfly|moth: monarch, ringlet, sulphur butterfly, lycaenid, admiral
bee|wasp|fly|insect|bug: bee, fly, cicada, cricket
ladybird|beetle: ladybug, ground beetle, leaf beetle, rhinoceros beetle
spider|scorpion: garden spider, tarantula, wolf spider, scorpion
guitar|violin|cello: acoustic guitar, electric guitar, violin, cello
piano|keyboard instrument: grand piano, upright
drum|drums: drum, steel drum, maraca
trumpet|trombone|saxophone|horn: cornet, trombone, sax, French horn
hammer|tool|wrench|spanner: hammer, screwdriver, hatchet, plunger
coin|coins|money|banknote: buckle, wallet, piggy bank
"""


def class_index(nouns: Mapping[str, Synset], classes: list[str]) -> dict[str, list[int]]:
    """Rows of the ImageNet classifier by first lemma (two classes are called ``crane``)."""
    found: dict[str, list[int]] = {}
    for row, key in enumerate(classes):
        found.setdefault(nouns[key].lemmas[0], []).append(row)
    return found


def parse_look_alikes(
    rows: Mapping[str, list[int]], table: str = LOOK_ALIKES
) -> tuple[list[str], Floats]:
    """Read the table.

    Args:
        rows: Classifier rows by first lemma.
        table: Lines as in `LOOK_ALIKES`.

    Returns:
        ``M`` words and ``(M, 1000)`` how strongly each looks like each class; rows sum to 1, and a
        class counts for three quarters of the one before it.

    Raises:
        ValueError: For a class that ImageNet does not have.
    """
    words: list[str] = []
    shares: list[Floats] = []
    for line in table.strip().splitlines():
        things, _, classes = line.partition(": ")
        share = np.zeros(1000, dtype=np.float32)
        for place, name in enumerate(classes.split(", ")):
            if name not in rows:
                raise ValueError(f"no ImageNet class is called {name!r} (line {line!r})")
            share[rows[name]] += 0.75**place
        for thing in things.split("|"):
            words.append(thing)
            shares.append(share / share.sum())
    return words, np.stack(shares)
