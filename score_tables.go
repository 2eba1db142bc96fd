package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// The commands, scores for people to read (Score.Write): a line and, of labels, a table.

// Write writes the score, and the table with a row for each right label.
func (s *ClassScore) Write(w io.Writer) {
	fmt.Fprintf(w, "accuracy %.1f%%   macro F1 %.1f%%   Matthews %.3f   (%d sentences)\n\n", 100*s.Accuracy, 100*s.MacroF1, s.Matthews, s.Count)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(table, "right \\ given\t")
	for _, l := range s.Labels {
		fmt.Fprintf(table, "%s\t", l.Label)
	}
	fmt.Fprint(table, "precision\trecall\tF1\t\n")
	for i, l := range s.Labels {
		fmt.Fprintf(table, "%s\t", l.Label)
		for _, n := range s.Confusion[i] {
			fmt.Fprintf(table, "%d\t", n)
		}
		fmt.Fprintf(table, "%.1f%%\t%.1f%%\t%.1f%%\t\n", 100*l.Precision, 100*l.Recall, 100*l.F1)
	}
	table.Flush()
}

// writeLabelScores writes a table with a row for each label.
func writeLabelScores(w io.Writer, what string, labels []LabelScore) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(table, "\n%s\tprecision\trecall\tF1\tcount\t\n", what)
	for _, l := range labels {
		fmt.Fprintf(table, "%s\t%.1f%%\t%.1f%%\t%.1f%%\t%d\t\n", l.Label, 100*l.Precision, 100*l.Recall, 100*l.F1, l.Count)
	}
	table.Flush()
}

// Write writes the score, and a row for each type of entity, or each label.
func (s *TagScore) Write(w io.Writer) {
	what := "label"
	if s.entities {
		what = "entity"
		fmt.Fprintf(w, "F1 %.1f%%   precision %.1f%%   recall %.1f%%   ", 100*s.F1, 100*s.Precision, 100*s.Recall)
	}
	fmt.Fprintf(w, "accuracy %.1f%%   (%d words in %d sentences)\n", 100*s.Accuracy, s.Words, s.Count)
	writeLabelScores(w, what, s.Labels)
}

// Write writes the score, and a row for each label.
func (s *SeveralScore) Write(w io.Writer) {
	fmt.Fprintf(w, "micro F1 %.1f%%   macro F1 %.1f%%   all labels right %.1f%%   (%d sentences)\n", 100*s.MicroF1, 100*s.MacroF1, 100*s.Accuracy, s.Count)
	writeLabelScores(w, "label", s.Labels)
}

// Write writes the score in a line.
func (s *NumberScore) Write(w io.Writer) {
	fmt.Fprintf(w, "Pearson %.3f   Spearman %.3f   mean squared error %.4g   (%d sentences)\n", s.Pearson, s.Spearman, s.MeanSq, s.Count)
}

// Write writes the score in a line.
func (s *AnswerScore) Write(w io.Writer) {
	fmt.Fprintf(w, "exact match %.1f%%   F1 %.1f%%   (%d questions)\n", s.ExactMatch, s.F1, s.Count)
}
