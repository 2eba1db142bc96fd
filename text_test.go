package main

import (
	"strings"
	"testing"
)

// A line is cut where a sentence ends, and not where a period means something else.
func TestSplitSentences(t *testing.T) {
	for line, want := range map[string]string{
		"Nora bakes. Pip sleeps.":                         "Nora bakes.|Pip sleeps.",
		"Is it late? Yes! He runs… Then he stops.":        "Is it late?|Yes!|He runs…|Then he stops.",
		"Mr. Smith met Dr. Wallis in No. 5. They talked.": "Mr. Smith met Dr. Wallis in No. 5.|They talked.",
		"By J. Newton, see Fig. 16. It is shown there.":   "By J. Newton, see Fig. 16.|It is shown there.",
		"It was I. He knew.":                              "It was I.|He knew.",
		"He said \"Go.\" Then (at last.) She went.":       "He said \"Go.\"|Then (at last.)|She went.",
		"It costs 3.50 today. e.g. this one. that too.":   "It costs 3.50 today. e.g. this one. that too.",
		"PROP. III. The rays are bent.":                   "PROP. III.|The rays are bent.",
		"No end at all":                                   "No end at all",
		"今日は晴れ。明日は雨。「行こう！」":                               "今日は晴れ。|明日は雨。|「行こう！」",
		"   ": "",
	} {
		equal(t, strings.Join(splitSentences(line), "|"), want)
	}
}

// Text with a sentence a line keeps its lines, and a blank line ends a document;
// in prose a line break is a space, and short paragraphs are joined.
func TestReadText(t *testing.T) {
	documents := func(text string) string {
		got, err := readText(strings.NewReader(text))
		check(t, err)
		var parts []string
		for _, d := range got.Documents {
			parts = append(parts, strings.Join(d, "|"))
		}
		return strings.Join(parts, " // ")
	}
	equal(t, documents("One here.\nTwo here. Three here.\r\n\n\n\nFour here.\n"), "One here.|Two here.|Three here. // Four here.")
	equal(t, documents("first line\nsecond line.\nthird line.\n\nlast."), "first line|second line.|third line. // last.")
	equal(t, documents(""), "")
	equal(t, documents(" \n\n \n"), "")

	paragraph := "This is one long sentence which goes\nover the end of the line. And this is\nanother. " +
		"The third one is\nnot longer than they\nare.\n\n"
	sentences := "This is one long sentence which goes over the end of the line.|And this is another.|The third one is not longer than they are."
	equal(t, documents(paragraph), sentences)
	equal(t, documents(strings.Repeat(paragraph, 4)), sentences+"|"+sentences+"|"+sentences+"|"+sentences)
	equal(t, documents(strings.Repeat(paragraph, 6)), sentences+"|"+sentences+"|"+sentences+" // "+sentences+"|"+sentences+"|"+sentences)

	got, err := readText(strings.NewReader("Caf\xe9 \xff\xfe au lait.\n"))
	check(t, err)
	equal(t, got.Documents[0][0], "Caf\uFFFD \uFFFD\uFFFD au lait.")
	equal(t, got.Invalid, 3)
}

// Reading text never fails for what is in it, loses no word and makes no empty
// sentence.
func FuzzReadText(f *testing.F) {
	f.Add("A b. C d.\n\nE f\ng h. I.")
	f.Add("\xff\xfe\x00 … 。「」\n.\n. .\n")
	f.Fuzz(func(t *testing.T, s string) {
		text, err := readText(strings.NewReader(s))
		check(t, err)
		var all []string
		for _, d := range text.Documents {
			if len(d) == 0 {
				t.Error("a document is empty")
			}
			for _, sentence := range d {
				if strings.TrimSpace(sentence) != sentence || sentence == "" {
					t.Errorf("%q is a sentence", sentence)
				}
				all = append(all, strings.Fields(sentence)...)
			}
		}
		equal(t, strings.Join(all, ""), strings.Join(strings.Fields((&scanner{}).validUTF8(s)), ""))
	})
}
