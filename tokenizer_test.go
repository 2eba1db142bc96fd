package main

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// wordsOf are the words of text, with | between them.
func wordsOf(text string, lowerCase bool) string {
	var all []string
	for word := range rulesFor(lowerCase).words(text, maxWordLength) {
		all = append(all, string(word.text))
	}
	return strings.Join(all, "|")
}

// Each token knows the bytes that it came from: of a word that is unknown, all;
// of a character that was decomposed, the whole; and none of what was dropped
// before it.
func TestSpans(t *testing.T) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("e ##e ##x . \u1112 ##\u1161 ##\u11ab")...), true)
	check(t, err)
	for text, want := range map[string]string{
		" E\u0301x, e\u00ade.":   "e=E ##x=x [UNK]=, e=e ##e=e .=.",
		"\u00e9\u00e9[SEP]zzz":   "e=\u00e9 ##e=\u00e9 [SEP]=[SEP] [UNK]=zzz",
		"\ud55c":                 "\u1112=\ud55c ##\u1161=\ud55c ##\u11ab=\ud55c",
		"\u200dex\u0301\u0301":   "e=e ##x=x",
		strings.Repeat("e", 101): "[UNK]=" + strings.Repeat("e", 101),
		"\xff\x00":               "",
	} {
		ids, spans := tokenizer.EncodeSpans(text)
		got := []string{}
		for i, token := range tokenizer.Tokens(ids) {
			got = append(got, token+"="+text[spans[i].Begin:spans[i].End])
		}
		equal(t, strings.Join(got, " "), want)
		equal(t, slices.Equal(tokenizer.Encode(text), ids), true)
	}
}

// Text is split at white space, round punctuation and round Chinese characters;
// control characters are dropped; an uncased vocabulary has neither capitals nor
// accents.
func TestWords(t *testing.T) {
	for text, want := range map[string]string{
		"Hello, World!":                           "hello|,|world|!",
		"don't $5+x~y `z`":                        "don|'|t|$|5|+|x|~|y|`|z|`",
		"  tab\tline\nnbsp\u00a0em\u2003x":        "tab|line|nbsp|em|x",
		"Caf\u00e9 na\u00efve \u00c5ngstr\u00f6m": "cafe|naive|angstrom",
		"e\u0301 o\u0308":                         "e|o",
		"\u1ec7":                                  "e",
		"\ud55c\uad6d":                            "\u1112\u1161\u11ab\u1100\u116e\u11a8",
		"ab\u4e2d\u6587cd":                        "ab|\u4e2d|\u6587|cd",
		"a\u0000b\u200dc\u00add\ufffde":           "abcde",
		"\u0130stanbul \u03a3\u03a3":              "istanbul|\u03c3\u03c3",
		"\u3053\u3093\u3001\u2018x\u2019":         "\u3053\u3093|\u3001|\u2018|x|\u2019",
		"":                                        "",
	} {
		equal(t, wordsOf(text, true), want)
	}
	equal(t, wordsOf("Caf\u00e9, NO", false), "Caf\u00e9|,|NO")
}

// A word of more than 100 characters is unknown, and so is one that the pieces
// cannot spell to its end.
func TestUnknownWords(t *testing.T) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], "a", "##a", "##b"), true)
	check(t, err)
	tokens := func(text string) string { return strings.Join(tokenizer.Tokens(tokenizer.Encode(text)), " ") }
	equal(t, tokens(strings.Repeat("a", 100)), "a"+strings.Repeat(" ##a", 99))
	equal(t, tokens(strings.Repeat("a", 101)), "[UNK]")
	equal(t, tokens("abc ab ba"), "[UNK] a ##b [UNK]")
	equal(t, tokens("a[SEP]a [mask] [MASK"), "a [SEP] a [UNK] [UNK] [UNK] [UNK] [UNK]")
}

// A vocabulary without a special token, with a word twice, or with nothing else
// is refused, with the reason.
func TestBadVocabularies(t *testing.T) {
	for text, want := range map[string]string{
		"[PAD] [UNK] [CLS] [SEP] a":            "[MASK] is missing",
		"[PAD] [UNK] [CLS] [SEP] [MASK] a b a": "line 8 repeats line 6, \"a\"",
		"[PAD] [UNK] [CLS] [SEP] [MASK]":       "there is no token but the special ones",
	} {
		if _, err := NewTokenizer(strings.Fields(text), true); err == nil || err.Error() != want {
			t.Errorf("%s: the error is %v, want %s", text, err, want)
		}
	}
}

// Training stops at the size asked for, gives the same vocabulary each time, and
// says what is wrong with too small a size or no words.
func TestTrainVocabulary(t *testing.T) {
	counts := map[string]int{"low": 5, "lower": 2, "newest": 6, "widest": 3, "once": 1}
	first, err := TrainVocabulary(counts, 40)
	check(t, err)
	for range 10 {
		again, err := TrainVocabulary(counts, 40)
		check(t, err)
		equal(t, again, first)
	}
	equal(t, strings.Join(first[len(first)-9:], " "), "low ne ##west newest wi ##dest widest ##er lower")
	short, err := TrainVocabulary(counts, 30)
	check(t, err)
	equal(t, short, first[:30])
	if _, err := TrainVocabulary(counts, 10); err == nil {
		t.Error("a vocabulary of 10 words has room for all letters")
	}
	if _, err := TrainVocabulary(nil, 10); err == nil {
		t.Error("a vocabulary was learnt from nothing")
	}
}

// Whatever the text, encoding gives ids of the vocabulary, and plain words come
// back as they were.
func FuzzEncode(f *testing.F) {
	tokenizer, err := NewTokenizer(append(specialTokens[:5:5], strings.Fields("a b c ##a ##b ##c ab ##bc . ! \u4e2d \u1112 ##\u1161")...), true)
	check(f, err)
	f.Add("abc cab. [MASK]\u4e2d")
	f.Add("[[[SEP]\xff\u0301")
	f.Fuzz(func(t *testing.T, text string) {
		ids := tokenizer.Encode(text)
		for _, id := range ids {
			if id < 0 || int(id) >= len(tokenizer.Words) {
				t.Fatalf("id %d", id)
			}
		}
		if len(ids) > utf8.RuneCountInString(text)*3 {
			t.Errorf("%d tokens for %d characters", len(ids), utf8.RuneCountInString(text))
		}
		plain := strings.Map(func(r rune) rune {
			if strings.ContainsRune("abc ", r) {
				return r
			}
			return -1
		}, text)
		for _, word := range strings.Fields(plain) {
			if len(word) <= maxWordLength {
				equal(t, tokenizer.Text(tokenizer.Encode(word)), word)
			}
		}
	})
}

// goldenTokens reads a file of texts and of what Hugging Face's tokenizer
// (BertWordPieceTokenizer of the Python package tokenizers 0.23) makes of them:
// in the first line the vocabulary, in each other one a text, its ids by each set
// of rules (where they are not those of the uncased one), and the bytes that each
// uncased token came from.
func goldenTokens(t *testing.T, name string) (vocabulary []string, lines []map[string]json.RawMessage) {
	t.Helper()
	f, err := os.Open(name)
	check(t, err)
	defer f.Close()
	var first struct{ Vocabulary string }
	d := json.NewDecoder(f)
	check(t, d.Decode(&first))
	for d.More() {
		var line map[string]json.RawMessage
		check(t, d.Decode(&line))
		lines = append(lines, line)
	}
	return strings.Split(first.Vocabulary, " "), lines
}

// In 60 scripts, and for whatever else is strange in Unicode, the tokens are those
// of Hugging Face, by all five sets of rules, and so are the bytes they came from.
func TestHuggingFaceTokens(t *testing.T) {
	vocabulary, lines := goldenTokens(t, "testdata/tokens.jsonl")
	if len(lines) < 200 {
		t.Fatalf("there are %d lines", len(lines))
	}
	for name, rules := range map[string]Rules{
		"uncased":  {true, true, true},
		"cased":    {false, false, true},
		"accents":  {true, false, true},
		"capitals": {false, true, true},
		"chinese":  {true, true, false},
	} {
		tokenizer, err := NewTokenizer(vocabulary, true)
		check(t, err)
		tokenizer.Rules = rules
		for _, line := range lines {
			var text string
			var want []int32
			var bytes []int
			check(t, json.Unmarshal(line["text"], &text))
			ids := line[name]
			if ids == nil {
				ids = line["uncased"]
			}
			check(t, json.Unmarshal(ids, &want))
			check(t, json.Unmarshal(line["spans"], &bytes))
			got, spans := tokenizer.EncodeSpans(text)
			if !slices.Equal(got, want) {
				t.Errorf("%s, %.200q:\ngot  %q\nwant %q", name, text, tokenizer.Tokens(got), tokenizer.Tokens(want))
				continue
			}
			for i, span := range spans {
				if name == "uncased" && (span.Begin != bytes[2*i] || span.End != bytes[2*i+1]) {
					t.Errorf("%.200q: token %d, %s, came from %v, want %v", text, i, tokenizer.Words[got[i]], span, bytes[2*i:2*i+2])
				}
			}
			if quick := tokenizer.Encode(text); !slices.Equal(quick, want) {
				t.Errorf("%s, %.200q: Encode gives %q, EncodeSpans %q", name, text, tokenizer.Tokens(quick), tokenizer.Tokens(want))
			}
		}
	}
}
