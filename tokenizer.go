package main

import (
	"bufio"
	"cmp"
	"container/heap"
	"errors"
	"fmt"
	"io"
	"iter"
	"maps"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// Step 1 of the lesson: text becomes tokens. A vocabulary of some thousand
// pieces is enough for all text, because a rare word is put together from
// pieces, of which all but the first begin with ##:
//
//	"He likes playing."  →  he likes play ##ing .
//
// and two sentences become one sequence, with [CLS] before and [SEP] after:
//
//	[CLS] my dog is cute [SEP] he likes play ##ing [SEP]
//
// The pieces are those that Hugging Face's BERT tokenizer gives (BertNormalizer,
// BertPreTokenizer, WordPiece).

// The special tokens. Their ids are wherever a vocabulary has them.
const (
	padToken  = "[PAD]"
	unkToken  = "[UNK]" // a word that the vocabulary cannot spell
	clsToken  = "[CLS]" // before the first sentence
	sepToken  = "[SEP]" // after each sentence
	maskToken = "[MASK]"
)

var specialTokens = []string{padToken, unkToken, clsToken, sepToken, maskToken}

// continuing marks a piece that goes on with a word.
const continuing = "##"

// maxWordLength is the longest word that is looked at, in characters.
const maxWordLength = 100

// A Tokenizer turns text into ids and back. It is safe for concurrent use.
type Tokenizer struct {
	Words []string // the vocabulary: the line of vocab.txt is the id
	Rules          // by which text becomes words

	ids                      map[string]int32
	pad, unk, cls, sep, mask int32
	longest                  int // bytes of the longest piece
}

// Rules say what the words of a text are, with the names of
// tokenizer_config.json.
type Rules struct {
	LowerCase    bool // do_lower_case
	StripAccents bool // strip_accents; unless it is said, like LowerCase
	SplitChinese bool // tokenize_chinese_chars: each one is a word
}

// rulesFor are the rules for an uncased vocabulary (lower case, no accents) or
// for a cased one.
func rulesFor(lowerCase bool) Rules { return Rules{lowerCase, lowerCase, true} }

// NewTokenizer makes a tokenizer of a vocabulary. It has to have all special
// tokens, and no word twice.
func NewTokenizer(words []string, lowerCase bool) (*Tokenizer, error) {
	t := &Tokenizer{Words: words, Rules: rulesFor(lowerCase), ids: make(map[string]int32, len(words))}
	for i, w := range words {
		if first, ok := t.ids[w]; ok {
			return nil, fmt.Errorf("line %d repeats line %d, %q", i+1, first+1, w)
		}
		t.ids[w] = int32(i)
		t.longest = max(t.longest, len(w))
	}
	for i, id := range []*int32{&t.pad, &t.unk, &t.cls, &t.sep, &t.mask} {
		var ok bool
		if *id, ok = t.ids[specialTokens[i]]; !ok {
			return nil, fmt.Errorf("%s is missing", specialTokens[i])
		}
	}
	if len(words) == len(specialTokens) {
		return nil, errors.New("there is no token but the special ones")
	}
	return t, nil
}

// special tells whether id is one of the special tokens.
func (t *Tokenizer) special(id int32) bool {
	return id == t.pad || id == t.unk || id == t.cls || id == t.sep || id == t.mask
}

// Encode returns the ids of the tokens of text.
func (t *Tokenizer) Encode(text string) []int32 {
	ids, _ := t.EncodeSpans(text)
	return ids
}

// A Span is the bytes text[Begin:End].
type Span struct{ Begin, End int }

// EncodeSpans returns the ids of the tokens of text, and the bytes that each
// came from. A special token that stands in the text keeps its meaning.
func (t *Tokenizer) EncodeSpans(text string) (ids []int32, spans []Span) {
	for at := 0; at < len(text); {
		plain, token := cutSpecial(text[at:])
		for word := range t.words(plain) {
			ids, spans = t.appendPieces(ids, spans, word, at)
		}
		at += len(plain)
		if token != "" {
			ids, spans = append(ids, t.ids[token]), append(spans, Span{at, at + len(token)})
			at += len(token)
		}
	}
	return ids, spans
}

// Tokens are the words of ids.
func (t *Tokenizer) Tokens(ids []int32) []string {
	tokens := make([]string, len(ids))
	for i, id := range ids {
		tokens[i] = t.Words[id]
	}
	return tokens
}

// Text puts tokens together again: ##pieces to the word before them.
func (t *Tokenizer) Text(ids []int32) string {
	return strings.ReplaceAll(strings.Join(t.Tokens(ids), " "), " "+continuing, "")
}

// Pair is [CLS] a [SEP] b [SEP] and the segment of each token, 0 to the first
// [SEP] and 1 from there on. Without b it is [CLS] a [SEP].
func (t *Tokenizer) Pair(a, b []int32) (ids, segments []int32) {
	ids = append(append(append(ids, t.cls), a...), t.sep)
	segments = make([]int32, len(ids))
	if len(b) > 0 {
		ids = append(append(ids, b...), t.sep)
		for len(segments) < len(ids) {
			segments = append(segments, 1)
		}
	}
	return ids, segments
}

// appendPieces appends the pieces of a word of the text at a place: again and
// again the longest piece of the vocabulary that the rest of the word begins with.
func (t *Tokenizer) appendPieces(ids []int32, spans []Span, w *word, at int) ([]int32, []Span) {
	unknown := Span{at + w.from[0].Begin, at + w.from[len(w.from)-1].End}
	if w.length > maxWordLength {
		return append(ids, t.unk), append(spans, unknown)
	}
	before := len(ids)
	for begin := 0; begin < len(w.text); {
		id, end := t.longestPiece(w.text, begin)
		if end == begin { // no piece fits, so the whole word is unknown
			return append(ids[:before], t.unk), append(spans[:before], unknown)
		}
		ids, spans = append(ids, id), append(spans, Span{at + w.from[begin].Begin, at + w.from[end-1].End})
		begin = end
	}
	return ids, spans
}

// longestPiece returns the longest piece of the vocabulary that is word[begin:end],
// or end = begin if there is none.
func (t *Tokenizer) longestPiece(word []byte, begin int) (id int32, end int) {
	piece, prefix := make([]byte, 0, 64), 0
	if begin > 0 {
		piece, prefix = append(piece, continuing...), len(continuing)
	}
	piece = append(piece, word[begin:min(len(word), begin+t.longest)]...)
	for len(piece) > prefix {
		if id, ok := t.ids[string(piece)]; ok {
			return id, begin + len(piece) - prefix
		}
		_, size := utf8.DecodeLastRune(piece[prefix:])
		piece = piece[:len(piece)-size]
	}
	return 0, begin
}

// cutSpecial returns the text before the first special token, and that token.
func cutSpecial(text string) (plain, token string) {
	for i := range len(text) {
		if text[i] == '[' {
			for _, s := range specialTokens {
				if strings.HasPrefix(text[i:], s) {
					return text[:i], s
				}
			}
		}
	}
	return text, ""
}

// A word is what pieces are looked for in.
type word struct {
	text   []byte // as the vocabulary would have it
	from   []Span // the character of the original text that each byte came from
	length int    // characters; those over maxWordLength are not in text
}

// add adds a character that came from a character of the original.
func (w *word) add(r rune, from Span) {
	if w.length++; w.length > maxWordLength {
		w.from[len(w.from)-1].End = from.End
		return
	}
	w.text = utf8.AppendRune(w.text, r)
	for len(w.from) < len(w.text) {
		w.from = append(w.from, from)
	}
}

// words splits text into words: at white space, and round each punctuation mark
// and each Chinese character, which is a word by itself. A word that it yields is
// overwritten by the next one.
func (rules Rules) words(text string) iter.Seq[*word] {
	return func(yield func(*word) bool) {
		w, more := &word{}, true
		flush := func() {
			if w.length > 0 {
				more = more && yield(w)
				w.text, w.from, w.length = w.text[:0], w.from[:0], 0
			}
		}
		for at, r := range text {
			if r == utf8.RuneError || isControl(r) {
				continue // dropped, also what is no UTF-8
			}
			if unicode.IsSpace(r) {
				flush()
				continue
			}
			alone := rules.SplitChinese && isChinese(r)
			if alone {
				flush()
			}
			for _, n := range rules.normalized(r) {
				if isPunctuation(n) {
					flush()
				}
				w.add(n, Span{at, at + utf8.RuneLen(r)})
				if isPunctuation(n) {
					flush()
				}
			}
			if alone {
				flush()
			}
			if !more {
				return
			}
		}
		flush()
	}
}

// normalized is what becomes of a character: without accents it is decomposed,
// and nonspacing marks are left out.
func (rules Rules) normalized(r rune) string {
	s := string(r)
	if rules.StripAccents {
		s = strings.Map(func(d rune) rune {
			if unicode.Is(unicode.Mn, d) {
				return -1
			}
			return d
		}, decompose(r))
	}
	if rules.LowerCase {
		s = strings.Map(unicode.ToLower, s)
	}
	return s
}

// decompose is the canonical decomposition of r: é is e and an acute accent, and
// a Hangul syllable is its two or three letters.
func decompose(r rune) string {
	const base, count, vowels, finals = 0xAC00, 11172, 21, 28
	if i := r - base; i >= 0 && i < count {
		letters := []rune{0x1100 + i/(vowels*finals), 0x1161 + i/finals%vowels}
		if final := i % finals; final > 0 {
			letters = append(letters, 0x11A7+final)
		}
		return string(letters)
	}
	if d, ok := decompositions()[r]; ok {
		return d
	}
	return string(r)
}

// isControl: control and format characters, and those of private use or not
// assigned at all: what is no letter, mark, number, punctuation, symbol or
// separator. Tab and line breaks are white space.
func isControl(r rune) bool {
	return r != '\t' && r != '\n' && r != '\r' &&
		!unicode.In(r, unicode.L, unicode.M, unicode.N, unicode.P, unicode.S, unicode.Z)
}

// decompositions is decompositionTable as a map.
var decompositions = sync.OnceValue(func() map[rune]string {
	table := map[rune]string{}
	for _, line := range strings.Split(strings.TrimSuffix(decompositionTable, " "), " ") {
		r, size := utf8.DecodeRuneInString(line)
		table[r] = line[size:]
	}
	return table
})

// isPunctuation: Unicode's P*, and all ASCII that is no letter, digit or space,
// such as $, + and ~.
func isPunctuation(r rune) bool {
	return r >= '!' && r <= '/' || r >= ':' && r <= '@' || r >= '[' && r <= '`' || r >= '{' && r <= '~' || unicode.IsPunct(r)
}

// isChinese: the blocks of CJK ideographs that BERT knows.
func isChinese(r rune) bool {
	return r >= 0x4E00 && r <= 0x9FFF || r >= 0x3400 && r <= 0x4DBF ||
		r >= 0x20000 && r <= 0x2A6DF || r >= 0x2A700 && r <= 0x2B73F ||
		r >= 0x2B740 && r <= 0x2B81F || r >= 0x2B920 && r <= 0x2CEAF || // U+2B920 as in Hugging Face, for U+2B820
		r >= 0xF900 && r <= 0xFAFF || r >= 0x2F800 && r <= 0x2FA1F
}

// ReadVocabulary reads vocab.txt: a word a line.
func ReadVocabulary(r io.Reader) ([]string, error) {
	var words []string
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		words = append(words, strings.TrimRight(lines.Text(), "\r"))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", len(words)+1, err)
	}
	return words, nil
}

// WriteVocabulary writes vocab.txt.
func WriteVocabulary(w io.Writer, words []string) error {
	_, err := io.WriteString(w, strings.Join(words, "\n")+"\n")
	return err
}

// CountWords counts how often each word of a text occurs.
func CountWords(text *Text, lowerCase bool) map[string]int {
	counts := map[string]int{}
	for _, document := range text.Documents {
		for _, sentence := range document {
			for word := range rulesFor(lowerCase).words(sentence) {
				counts[string(word.text)]++
			}
		}
	}
	return counts
}

// TrainVocabulary learns a vocabulary of at most size words from how often each
// word of a text occurs. It begins with the special tokens and the letters, and
// then, again and again, joins the two pieces that most often stand side by
// side; of several such pairs, the one with the smaller ids. With hug ×10,
// pug ×5 and hugs ×3:
//
//	##u ##g (18 times) → ##ug    h ##ug (13) → hug    p ##ug (5) → pug    hug ##s (3) → hugs
func TrainVocabulary(counts map[string]int, size int) ([]string, error) {
	v := &vocabularyTrainer{ids: map[string]int32{}, counts: map[piecePair]int{}, where: map[piecePair][]int{}}
	for _, s := range specialTokens {
		v.id(s)
	}
	v.spell(counts)
	if len(v.words) == 0 {
		return nil, errors.New("there is no word to learn a vocabulary from")
	}
	if len(v.pieces) > size {
		return nil, fmt.Errorf("a vocabulary of %d words is too small: special tokens and letters alone are %d", size, len(v.pieces))
	}
	for len(v.pieces) < size && v.queue.Len() > 0 {
		// A count that has changed since its entry was made is looked at
		// again later: if it rose, there is a newer entry.
		top := heap.Pop(&v.queue).(countedPair)
		switch count := v.counts[top.piecePair]; {
		case count == top.count:
			v.merge(top.piecePair)
		case count < top.count && count >= minPairCount:
			heap.Push(&v.queue, countedPair{top.piecePair, count})
		}
	}
	return v.pieces, nil
}

// minPairCount is how often a pair has to occur to be joined.
const minPairCount = 2

type vocabularyTrainer struct {
	pieces []string         // the vocabulary so far
	ids    map[string]int32 // of the pieces
	words  [][]int32        // each word of the text, in pieces
	times  []int            // how often it occurs
	counts map[piecePair]int
	where  map[piecePair][]int // the words in which a pair has occurred
	queue  pairQueue
}

type piecePair struct{ left, right int32 }

// id returns the id of a piece, and makes it one if it is new.
func (v *vocabularyTrainer) id(piece string) int32 {
	id, ok := v.ids[piece]
	if !ok {
		id = int32(len(v.pieces))
		v.ids[piece] = id
		v.pieces = append(v.pieces, piece)
	}
	return id
}

// spell takes every word as its letters. The letters are the first pieces: in
// order, first all as they are, then those with ## that go on with a word.
func (v *vocabularyTrainer) spell(counts map[string]int) {
	letters, inside := map[string]bool{}, map[string]bool{}
	for word := range counts {
		for i, r := range word {
			letters[string(r)] = true
			if i > 0 {
				inside[continuing+string(r)] = true
			}
		}
	}
	for _, set := range []map[string]bool{letters, inside} {
		for _, piece := range slices.Sorted(maps.Keys(set)) {
			v.id(piece)
		}
	}
	change := map[piecePair]int{}
	for w, word := range slices.Sorted(maps.Keys(counts)) {
		var pieces []int32
		for i, r := range word {
			if i == 0 {
				pieces = append(pieces, v.id(string(r)))
			} else {
				pieces = append(pieces, v.id(continuing+string(r)))
			}
		}
		v.words, v.times = append(v.words, pieces), append(v.times, counts[word])
		v.countPairs(change, w, 1)
	}
	v.apply(change)
}

// merge makes a pair of pieces into one, in every word in which it occurs.
func (v *vocabularyTrainer) merge(pair piecePair) {
	joined := v.id(v.pieces[pair.left] + strings.TrimPrefix(v.pieces[pair.right], continuing))
	change := map[piecePair]int{}
	for _, w := range v.where[pair] {
		v.countPairs(change, w, -1)
		old, merged := v.words[w], v.words[w][:0]
		for i := 0; i < len(old); i++ {
			if i+1 < len(old) && old[i] == pair.left && old[i+1] == pair.right {
				merged = append(merged, joined)
				i++
			} else {
				merged = append(merged, old[i])
			}
		}
		v.words[w] = merged
		v.countPairs(change, w, 1)
	}
	delete(v.where, pair)
	v.apply(change)
}

// countPairs adds the pairs of word w, or with sign −1 takes them away.
func (v *vocabularyTrainer) countPairs(change map[piecePair]int, w, sign int) {
	word := v.words[w]
	for i := range len(word) - 1 {
		pair := piecePair{word[i], word[i+1]}
		change[pair] += sign * v.times[w]
		if where := v.where[pair]; sign > 0 && (len(where) == 0 || where[len(where)-1] != w) {
			v.where[pair] = append(where, w)
		}
	}
}

// apply brings the counts up to date, and the queue where one has risen.
func (v *vocabularyTrainer) apply(change map[piecePair]int) {
	for pair, n := range change {
		v.counts[pair] += n
		if n > 0 && v.counts[pair] >= minPairCount {
			heap.Push(&v.queue, countedPair{pair, v.counts[pair]})
		}
	}
}

// countedPair is a pair and how often it occurred when it was queued.
type countedPair struct {
	piecePair
	count int
}

// pairQueue is a heap (container/heap) with the most frequent pair on top.
type pairQueue []countedPair

func (q pairQueue) Len() int      { return len(q) }
func (q pairQueue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q pairQueue) Less(i, j int) bool {
	return cmp.Or(cmp.Compare(q[j].count, q[i].count), cmp.Compare(q[i].left, q[j].left), cmp.Compare(q[i].right, q[j].right)) < 0
}
func (q *pairQueue) Push(x any) { *q = append(*q, x.(countedPair)) }
func (q *pairQueue) Pop() any {
	last := len(*q) - 1
	x := (*q)[last]
	*q = (*q)[:last]
	return x
}
