package main

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// The commands, what demo and explain share: tables that show what goes on inside a model,
// in lines of at most 80 characters.

// A story is the demo in progress, or explain.
type story struct {
	io.Writer
	corpus  *Corpus // the demo's
	t       *Tokenizer
	m       *Model
	trainer *Trainer
	fell    bool // next sentence prediction has fallen into place
	page    *reporter
}

// say writes a line.
func (s *story) say(format string, args ...any) { fmt.Fprintf(s, format+"\n", args...) }

// columns prints rows whose cells belong together column by column, each row after its
// name. Where there are too many columns for a line, the others follow below.
func (s *story) columns(names []string, rows ...[]string) {
	const room = 80
	nameWidth := 0
	for _, n := range names {
		nameWidth = max(nameWidth, utf8.RuneCountInString(n))
	}
	for from := 0; from < len(rows[0]); {
		lines := make([]string, len(rows))
		for i := range lines {
			lines[i] = fmt.Sprintf("   %-*s", nameWidth, names[i])
		}
		to := from
		for ; to < len(rows[0]); to++ {
			width := 0
			for _, row := range rows {
				width = max(width, utf8.RuneCountInString(row[to]))
			}
			if to > from && utf8.RuneCountInString(lines[0])+1+width > room {
				break
			}
			for i, row := range rows {
				lines[i] += fmt.Sprintf(" %*s", width, row[to])
			}
		}
		if from > 0 {
			s.say("")
		}
		for _, line := range lines {
			s.say("%s", strings.TrimRight(line, " "))
		}
		from = to
	}
}

// sequence is a sentence or two as the model gets them.
func (s *story) sequence(a, b string) (c Case) {
	c.Tokens, c.Segments, _ = s.t.Sequence(a, b, s.m.Config.MaxPositionEmbeddings)
	return c
}

// fill are the best tokens for the [MASK] of a text.
func (s *story) fill(text string, n int) []Guess {
	c := s.sequence(text, "")
	return s.m.Fill(s.t, BatchOf(c.Tokens, c.Segments), n)[0][0].Best
}

// token is a token of the sequence, cut to most characters.
func (s *story) token(at, most int) string {
	word := []rune(s.t.Vocabulary[s.m.batch.Tokens[at]])
	if len(word) <= most {
		return string(word)
	}
	return string(word[:most-1]) + "…"
}

// Tokens are cut to wideToken characters, or narrowToken where there is less room.
const wideToken, narrowToken = 20, 12

// segmentName is A or B.
func segmentName(segment int32) string { return string('A' + rune(segment)) }

// tokens shows what the model gets of the text.
func (s *story) tokens() {
	b := s.m.batch
	var rows [4][]string
	for i := range b.Tokens {
		rows[0] = append(rows[0], s.token(i, wideToken))
		rows[1] = append(rows[1], fmt.Sprint(b.Tokens[i]))
		rows[2] = append(rows[2], segmentName(b.Segments[i]))
		rows[3] = append(rows[3], fmt.Sprint(b.Positions[i]))
	}
	s.columns([]string{"token", "id", "segment", "position"}, rows[:]...)
}

// embedding shows the first numbers of one token's vectors.
func (s *story) embedding(at int) {
	names := [5]string{
		fmt.Sprintf("token %q", s.token(at, narrowToken)), "segment " + segmentName(s.m.batch.Segments[at]), fmt.Sprintf("position %d", at),
		"their sum", "normalised",
	}
	width := max(narrowToken, utf8.RuneCountInString(names[0]))
	for i, vector := range s.m.embeddings.Vectors(at) {
		fmt.Fprintf(s, "   %-*s", width, names[i])
		for _, v := range vector[:min(6, len(vector))] {
			fmt.Fprintf(s, " %7.3f", v)
		}
		s.say("  …")
	}
}

// attention shows how one token shares its attention out, in each layer, on average over
// the heads.
func (s *story) attention(at int) {
	names, rows := []string{"token"}, [][]string{nil}
	for i := range s.m.batch.Tokens {
		rows[0] = append(rows[0], s.token(i, narrowToken))
	}
	for i, l := range s.m.encoder {
		var shares []string
		for _, share := range l.attention.Weights(at, 0) {
			shares = append(shares, fmt.Sprintf("%.0f%%", 100*share))
		}
		names, rows = append(names, fmt.Sprintf("layer %d", i+1)), append(rows, shares)
	}
	s.columns(names, rows...)
}
