package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each flag that would be ignored is refused by name, with the flag that makes it so.
func TestMisfits(t *testing.T) {
	values := map[string]string{"examples": "e", "html": "p", "init": "m", "vocab": "v.txt", "vocab=.json": "v.json", "model": "m", "pool=pooled": "pooled", "task=answer": "answer", "task=tag": "tag"}
	for _, name := range strings.Fields("cased whole-words freeze scratch study normalize") {
		values[name] = "true"
	}
	values["json"] = "false"
	for _, m := range misfits {
		for _, command := range strings.Fields(m.commands) {
			for _, flag := range strings.Fields(m.flags) {
				where, without := strings.CutPrefix(m.where, "!")
				name, _, _ := strings.Cut(strings.Fields(where)[0], "=")
				args := []string{command, "-" + flag + "=3"}
				if value, ok := values[flag]; ok {
					args[1] = "-" + flag + "=" + value
				}
				if value, ok := values[where]; ok && !without {
					args = append(args, "-"+name+"="+value)
				}
				status, stdout, stderr := runHere("", args...)
				want := command + ": -" + flag + " means nothing " + map[bool]string{false: "with", true: "without"}[without] + " -" + name
				if status != exitUsage || stdout != "" || !strings.HasPrefix(stderr, want) || strings.Count(stderr, "\n") != 1 {
					t.Errorf("%v: exit status %d, %q, %q; want %q", args, status, stdout, stderr, want)
				}
			}
		}
	}
}

// Numbers are decimal and finite, however they are written; and a flag after an argument is not
// taken for a text, unless -- says so.
func TestFlagsAsTheyAreRead(t *testing.T) {
	model, _ := trained(t)
	for _, c := range []struct {
		status int
		want   string
		args   []string
	}{
		{exitDone, "", []string{"fill", "-model", model, "-best", "010", "The [MASK]."}},
		{exitUsage, `"0x10" for flag -best: want a whole number in decimal digits`, []string{"fill", "-model", model, "-best", "0x10", "The [MASK]."}},
		{exitUsage, "-best is -5, want 1 or more", []string{"fill", "-model", model, "-best", "-005", "The [MASK]."}},
		{exitUsage, "-lr is 1.5, want 0 to 1", []string{"pretrain", "-corpus", "c", "-plan", "-lr", "01.5"}},
		{exitUsage, "-lr is -0.5, want 0 to 1", []string{"pretrain", "-corpus", "c", "-plan", "-lr", "-0.5"}},
		{exitUsage, `"" for flag -best: want a whole number`, []string{"fill", "-model", model, "-best", "", "A"}},
		{exitUsage, `"1e999" for flag -lr: want a number`, []string{"pretrain", "-lr", "1e999"}},
		{exitUsage, `"1_0" for flag -best: want a whole number`, []string{"fill", "-model", model, "-best", "1_0", "The [MASK]."}},
		{exitUsage, `"99999999999999999999" for flag -best: want a whole number`, []string{"fill", "-model", model, "-best", "99999999999999999999", "A"}},
		{exitUsage, `"-1" for flag -seed: want a whole number in decimal digits`, []string{"pretrain", "-seed", "-1"}},
		{exitUsage, `"NaN" for flag -threshold: want a number in decimal digits`, []string{"answer", "-threshold", "NaN"}},
		{exitUsage, `"-inf" for flag -weight-decay: want a number`, []string{"finetune", "-weight-decay", "-inf"}},
		{exitUsage, `"0x1p-3" for flag -lr: want a number`, []string{"pretrain", "-lr", "0x1p-3"}},
		{exitUsage, `"maybe" for -cased: want true or false`, []string{"pretrain", "-cased=maybe"}},
		{exitUsage, "-lr is 1e+308, want 0 to 1", []string{"pretrain", "-corpus", "c", "-plan", "-lr", "1e308"}},
		{exitUsage, "-steps is 9000000000000000000, want 1 to", []string{"pretrain", "-corpus", "c", "-plan", "-steps", "9000000000000000000"}},
		{exitUsage, "-epochs is 9000000000000000000, want 1 to", []string{"finetune", "-model", "m", "-task", "tag", "-train", "t", "-out", "o", "-epochs", "9000000000000000000"}},
		{exitUsage, "-min-frequency is -1, want 1 or more", []string{"vocab", "-corpus", "c", "-show", "3", "-min-frequency", "-1"}},
		{exitUsage, `-header is "no", but t.jsonl is JSON`, []string{"finetune", "-model", "m", "-task", "classify", "-train", "t.jsonl", "-out", "o", "-header", "no"}},
		{exitUsage, `-best comes after an argument, "The [MASK].", want all flags before it`, []string{"fill", "-model", model, "The [MASK].", "-best", "3"}},
		{exitUsage, `-json comes after an argument, "A"`, []string{"next", "-model", model, "A", "-json"}},
		{exitDone, "", []string{"next", "-model", model, "--", "-json", "-json"}},
		{exitDone, "", []string{"next", "-model", model, "It is cold.", "-5 degrees"}},
	} {
		status, stdout, stderr := runHere("", c.args...)
		if status != c.status || !strings.Contains(stderr, c.want) || strings.Count(stderr, "\n") > 1 || (stdout == "") != (status != exitDone) {
			t.Errorf("%v: exit status %d, %q, %q; want %d and %q", c.args, status, stdout, stderr, c.status, c.want)
		}
		if status == exitDone && c.args[0] == "fill" {
			equal(t, strings.Count(stdout, "\n"), 10)
		}
	}
}

// The same command with -resume goes on, also where a flag leaves open what another one
// decides; one that means something else does not.
func TestResumeWithTheSameFlags(t *testing.T) {
	dir := t.TempDir()
	for i, open := range [][]string{{"-warmup", "-1"}, {"-short-part", "0", "-short-seq", "0"}, {"-recipe", "paper", "-warmup", "-1", "-accumulate", "1"}} {
		out := filepath.Join(dir, "out", string(rune('a'+i)))
		args := append(smallRun(t, dir, "-out", out, "-steps", "20", "-save-every", "10", "-log-every", "20"), open...)
		status, _, stderr := runHere("", args...)
		equal(t, status, exitDone, stderr)
		want, err := os.ReadFile(filepath.Join(out, modelFile))
		check(t, err)
		check(t, os.RemoveAll(filepath.Join(out, "checkpoint-20-finished")))
		status, _, stderr = runHere("", append(args, "-resume")...)
		equal(t, status, exitDone, stderr)
		got, err := os.ReadFile(filepath.Join(out, modelFile))
		check(t, err)
		equal(t, string(got) == string(want), true, "the model is the same")
		check(t, os.RemoveAll(filepath.Join(out, "checkpoint-20-finished")))
		status, _, stderr = runHere("", append(args, "-resume", "-warmup", "7")...)
		equal(t, status, exitFailed)
		equal(t, strings.Contains(stderr, "-warmup is 7, but "), true, stderr)
	}
}
