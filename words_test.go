package main

import (
	"strings"
	"testing"
)

// wordsOf are the words of text, with | between them.
func wordsOf(text string, lowerCase bool) string {
	var all []string
	for word := range RulesFor(lowerCase).SplitWords(text, maxWordLength) {
		all = append(all, string(word.text))
	}
	return strings.Join(all, "|")
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
