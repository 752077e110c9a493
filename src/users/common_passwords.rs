//! Recognizes passwords that attackers guess first. The list was written for doorward and contains words that
//! are common in leaks. The code recognizes the usual variations of them (capitals, digits, years, l33t,
//! doubling, keyboard walks, sequences). A short list of words therefore covers as much as a long list of
//! passwords would, at the lengths that doorward requires.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The most frequent words in leaks.
const WORDS: &str = "
password passwort passwd pass word passcode secret letmein welcome login admin administrator root user guest test
tester testing master default changeme change please access system server service support manager office company
computer internet network hello hallo hola bonjour iloveyou ilove loveyou love lover lovely sweet sweetheart honey
baby babygirl babyboy angel princess prince queen king kingdom dragon monkey tiger lion eagle falcon hawk panther
wolf bear horse dog puppy cat kitty kitten bunny rabbit bird fish shark dolphin butterfly flower rose lily daisy
sunshine sunflower summer winter spring autumn fall monday tuesday wednesday thursday friday saturday sunday january
february march april may june july august september october november december football baseball basketball soccer
hockey tennis golf fussball liverpool arsenal chelsea barcelona realmadrid juventus manchester united lakers yankees
cowboys steelers patriots eagles raiders packers superman batman spiderman ironman captain america avengers starwars
skywalker vader matrix pokemon pikachu naruto minecraft fortnite roblox gamer game gaming player winner champion
hunter ranger soldier killer ninja samurai shadow ghost phantom angel devil satan jesus christ heaven blessed faith
god family mother father mommy daddy mama papa brother sister friend friends forever together michael michelle
jennifer jessica ashley amanda andrew daniel david robert john james william joseph thomas charlie george jordan
joshua matthew anthony nicole nicholas hannah samantha elizabeth victoria alexander alexandra maria anna sophie emma
thomas maggie buster bailey cookie chocolate coffee cheese pepper ginger banana apple orange cherry peaches pumpkin
mustang ferrari porsche mercedes corvette harley yamaha honda toyota nissan google facebook twitter instagram youtube
amazon microsoft windows linux ubuntu android samsung iphone nokia whatever nothing something anything everything
trustno trust freedom liberty america london paris berlin tokyo newyork texas california florida canada mexico
russia germany france england india china japan money dollar million rich gold silver diamond platinum purple blue
green yellow black white red pink orange hello world mynoob noob asshole fuckyou fuck fucking shit bitch sexy pussy
dick cock naked boobs hottie babe cutie smile happy lucky star stars stardust moon galaxy planet rainbow thunder
lightning storm fire ice water ocean river mountain music guitar piano drummer rock metal metallica slipknot nirvana
eminem rapper dance dancer disco party beer vodka whiskey jackson hendrix lennon beatles zeppelin qwerty azerty qwertz
abc abcd alpha beta gamma delta omega zero one two three four five six seven eight nine ten my is the your and for
you me new old big little super mega ultra best good great cool nice qwe asd zxc aaa user name username demo temp
temporary private public secure security safe
";

/// Sequences of keys on keyboards, along which people move their fingers.
const WALKS: [&str; 10] = [
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "1q2w3e4r5t6y7u8i9o0p",
    "azertyuiopqsdfghjklmwxcvbn",
    "01234567890123456789",
    "abcdefghijklmnopqrstuvwxyz",
];

/// A password with at most this many characters outside known pieces is still common.
const FEW: usize = 4;
/// A password with more different words than this counts as a phrase.
const WORDS_OF_A_PHRASE: usize = 3;

/// The number of characters that are checked. The search takes longer for longer passwords.
const LOOKED_AT: usize = 128;
/// The length of the shortest word and the shortest walk.
const SHORTEST: usize = 3;

/// The words by their first letter.
static WORDS_BY_LETTER: LazyLock<HashMap<char, Vec<Vec<char>>>> = LazyLock::new(|| {
    let mut words: HashMap<char, Vec<Vec<char>>> = HashMap::new();
    for word in WORDS.split_ascii_whitespace().filter(|word| word.len() >= SHORTEST) {
        words.entry(char::from(word.as_bytes()[0])).or_default().push(word.chars().collect());
    }
    words
});

/// The walks in both directions.
static WALKS_BOTH_WAYS: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    WALKS.iter().flat_map(|keys| [keys.chars().collect(), keys.chars().rev().collect()]).collect()
});

/// Returns whether the first characters of a password consist mostly of common pieces.
#[must_use]
pub(crate) fn is_common(password: &str) -> bool {
    readings(password).iter().any(|text| is_made_of(text, &[]))
}

/// Returns whether the first characters of a password consist mostly of one of these names and common pieces.
#[must_use]
pub(crate) fn is_like(password: &str, names: &[&str]) -> bool {
    let names: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let parts = names.iter().flat_map(|name| name.split(|c: char| !c.is_alphanumeric()));
    let wholes = names.iter().map(String::as_str);
    let words = parts.filter(|part| part.len() > 2).chain(wholes);
    let words = words.map(|word| word.chars().collect::<Vec<char>>());
    let words: Vec<Vec<char>> = words.filter(|word| word.len() >= SHORTEST).collect();
    readings(password).iter().any(|text| is_made_of(text, &words))
}

/// A password in lower case, and its copy in which digits and signs are replaced by the letters that they
/// represent.
struct Reading {
    typed: Vec<char>,
    read: Vec<char>,
}

/// Returns the ways to read a password, forwards and backwards.
fn readings(password: &str) -> Vec<Reading> {
    let looked_at = password.char_indices().nth(LOOKED_AT).map_or(password, |(end, _)| &password[..end]);
    let typed: Vec<char> = looked_at.to_lowercase().chars().collect();
    let backwards: Vec<char> = typed.iter().rev().copied().collect();
    let read_as = |typed: &[char], one: char| Reading {
        typed: typed.to_vec(),
        read: typed.iter().map(|c| letter(*c, one)).collect(),
    };
    [typed, backwards].iter().flat_map(|typed| [read_as(typed, 'i'), read_as(typed, 'l')]).collect()
}

fn letter(typed: char, one: char) -> char {
    match typed {
        '0' => 'o',
        '1' | '!' | '|' => one,
        '3' | '€' => 'e',
        '4' | '@' => 'a',
        '5' | '$' => 's',
        '7' | '+' => 't',
        '8' => 'b',
        '9' => 'g',
        other => other,
    }
}

/// Takes the longest known pieces from the left. Returns whether few characters remain and the pieces contain
/// few different words.
fn is_made_of(text: &Reading, words: &[Vec<char>]) -> bool {
    let (mut at, mut left_over) = (0, 0);
    let mut words_found: Vec<&[char]> = Vec::new();
    while at < text.typed.len() && left_over <= FEW && words_found.len() <= WORDS_OF_A_PHRASE {
        let (typed, read) = (&text.typed[at..], &text.read[at..]);
        let as_word = word(typed, words).max(word(read, words));
        let as_row = walk(typed).max(run(typed)).max(year(typed));
        let length = as_word.max(as_row).max(repetition(&text.typed, at));
        if length == 0 {
            left_over += 1;
            at += 1;
            continue;
        }
        let piece = &text.typed[at..at + length];
        if as_word == length && !words_found.contains(&piece) {
            words_found.push(piece);
        }
        at += length;
    }
    left_over <= FEW && words_found.len() <= WORDS_OF_A_PHRASE
}

/// Returns the length of the longest word at the start of the text, from the list or from `words`.
fn word(rest: &[char], words: &[Vec<char>]) -> usize {
    let listed = WORDS_BY_LETTER.get(&rest[0]).into_iter().flatten();
    let found = listed.chain(words).filter(|word| rest.starts_with(word.as_slice()));
    found.map(Vec::len).max().unwrap_or(0)
}

/// Returns the number of keys for which the text follows a walk in either direction. Fewer than three do not
/// count.
fn walk(rest: &[char]) -> usize {
    let along = |keys: &Vec<char>| {
        let from = |start: usize| keys[start..].iter().zip(rest).take_while(|(a, b)| a == b).count();
        (0..keys.len()).map(from).max().unwrap_or(0)
    };
    WALKS_BOTH_WAYS.iter().map(along).max().filter(|length| *length >= SHORTEST).unwrap_or(0)
}

/// Returns how often the first character is repeated. Fewer than three do not count.
fn run(rest: &[char]) -> usize {
    let length = rest.iter().take_while(|c| **c == rest[0]).count();
    if length > 2 { length } else { 0 }
}

fn year(rest: &[char]) -> usize {
    let is_year = rest.len() >= 4
        && rest[..4].iter().all(char::is_ascii_digit)
        && matches!((rest[0], rest[1]), ('1', '9') | ('2', '0'));
    if is_year { 4 } else { 0 }
}

/// Returns the length of the text before `at` that is repeated at `at`.
fn repetition(text: &[char], at: usize) -> usize {
    let rest = &text[at..];
    (2..=at.min(rest.len())).rev().find(|length| text[at - length..at] == rest[..*length]).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_common_in_leaks_are_refused() {
        for password in [
            "password",
            "Password1234",
            "password12345",
            "passwordpassword",
            "P@ssw0rd1234",
            "p4ssw0rd!2024",
            "drowssap1234",
            "Passw0rd!!!!",
            "MyPassword123",
            "thepassword1",
            "password!@#$",
            "welcome12345",
            "Welcome2024!",
            "welcome to password",
            "qwertyuiop12",
            "qwerty123456",
            "qwertyqwerty",
            "1q2w3e4r5t6y",
            "1qaz2wsx3edc",
            "zaq12wsxcde3",
            "qazwsxedcrfv",
            "asdfghjkl123",
            "zxcvbnm12345",
            "qweasdzxc123",
            "123456789012",
            "012345678901",
            "987654321098",
            "111111111111",
            "000000000000",
            "121212121212",
            "123123123123",
            "abcabcabcabc",
            "abcdefghijkl",
            "abcd12345678",
            "aaaaaaaaaaaa",
            "aaaabbbbcccc",
            "iloveyou1234",
            "iloveyou2023",
            "ILoveYou!!!!",
            "letmein12345",
            "letmeinplease",
            "administrator",
            "admin1234567",
            "adminadmin12",
            "Administrator1",
            "rootroot1234",
            "changeme1234",
            "default12345",
            "summer2024!!",
            "Summer2023!!",
            "Winter2022!!",
            "december2023",
            "football1234",
            "baseball2020",
            "superman1234",
            "batman123456",
            "princess1234",
            "sunshine1234",
            "michael12345",
            "jennifer2001",
            "charlie12345",
            "dragon123456",
            "monkey123456",
            "liverpool123",
            "pokemon12345",
            "starwars1977",
            "computer1234",
            "trustno1trustno1",
            "master123456",
            "shadow123456",
            "minecraft123",
            "secret123456",
            "azertyuiop12",
            "qwertz123456",
            "fuckyou12345",
            "L3tm31n12345",
            "mypassword12",
            "testtest1234",
        ] {
            assert!(is_common(password), "{password}");
        }
    }

    #[test]
    fn strong_passwords_pass() {
        for password in [
            "correct horse battery staple",
            "tulip-anvil-grotto-mist",
            "Zebra crossing at noon, twice",
            "x7#kQ!v2mB9s",
            "hV3rm8qT0zLp",
            "kgwjtrxnvbqp",
            "n0t-4ny-0f-y0ur-business",
            "der Hund bellt im Garten",
            "vier Kerzen brennen leise",
            "purple elephants dance quietly",
            "a cup of tea before dawn",
            "my aunt sells blue umbrellas",
            "83-oaken-barrels-rolled",
            "Quixotic!Vexing7Jumps",
            "winterreise schubert d911",
            "the moon is made of basalt",
            "ketchup on strawberries",
            "five wizards jog past",
            "gravel path behind church",
            "5fK-2pL-9wQ-7xZ",
            "mnbtqzzkfwpa",
            "horsebatterystaplecorrect",
            "Ljubljana rainy Tuesdays",
            "coffee first then arguments",
            "unremarkable wallpaper",
            "blaue Giraffen im Nebel",
            "olive grove hermit",
            "paperclip maximiser 9",
            "seven crows on a wire",
            "breadcrumb trail home",
            "sphinx of black quartz",
            "never odd or even again",
            "three blind mice ran",
            "ein Apfel am Abend",
            "el perro de mi vecino",
            "la lune au fond du puits",
            "rhubarb & custard tin",
            "lantern fish parade",
            "dusty accordion waltz",
            "marble run champion of 1b",
            "e7c1b0a94f5d2386",
            "thirteen oclock striking",
        ] {
            assert!(!is_common(password), "{password}");
        }
    }

    #[test]
    fn only_the_first_characters_are_checked() {
        let started = "password".repeat(LOOKED_AT / 8);
        assert!(is_common(&format!("{started}{}", "x7#kQ!v2mB9s".repeat(70))));
        assert!(!is_common(&format!("{}{started}", "x7#kQ!v2mB9s".repeat(11))));
    }

    #[test]
    fn decorated_username_is_like_the_username() {
        for password in
            ["alice.liddell1", "AliceLiddell99", "liddellalice!!", "alice12345678", "ecila12345678"]
        {
            assert!(is_like(password, &["alice.liddell"]), "{password}");
        }
        assert!(is_like("bob@example.org", &["bob", "bob@example.org"]));
        assert!(!is_like("alice saw a white rabbit run", &["alice.liddell"]));
        assert!(!is_like("x7#kQ!v2mB9s", &["x", "k"]));
    }
}
